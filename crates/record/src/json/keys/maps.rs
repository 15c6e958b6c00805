//! Maps in objects that are written again and again.

use super::Layout;
use crate::json::values::Values;
use crate::json::write::close_object;
use crate::{Batch, Field, Value};

/// The layouts of the first maps in an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Maps {
    /// Whether they become parts of the inside of a JSON string.
    nested: bool,
    /// So many levels may still be remembered.
    levels: u8,
    /// Each with the index of its field.
    layouts: Vec<(usize, Layout)>,
}

/// So many levels of maps are remembered below the fields of an object,
pub(super) const LEVELS: u8 = 2;
/// and so many maps of each.
const MAPS_MAX: usize = 8;
/// Keys of a map have so many bytes together, or it is not remembered.
pub(super) const KEYS_MAX: usize = 1024;

/// How long the keys are together.
pub(super) fn keys_len(fields: &[Field]) -> usize {
    fields.iter().map(|field| field.key.span().len()).sum()
}

impl Maps {
    /// Maps of so many levels.
    pub fn new(nested: bool, levels: u8) -> Maps {
        Maps {
            nested,
            levels,
            layouts: Vec::new(),
        }
    }

    /// Forgets what is remembered.
    pub fn clear(&mut self) {
        self.layouts.clear();
    }

    /// Appends the value of the field `index`, if it is a map that is remembered: by how many bytes it is longer for being
    /// nested.
    #[inline(never)]
    pub fn write(
        &mut self,
        index: usize,
        batch: &Batch,
        value: Value,
        values: &mut Values,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let Value::Map(fields) = value else {
            return None;
        };
        let fields = batch.fields(fields);
        let layout = self.layout(index)?;
        layout.is_of(batch, fields, values).then(|| {
            let start = out.len();
            let more = layout.write(batch, fields, values, out);
            close_object(start, out);
            more
        })
    }

    /// The layout of the field `index`, new if there is none and room for one more.
    fn layout(&mut self, index: usize) -> Option<&mut Layout> {
        let known = self.layouts.iter().position(|(at, _)| *at == index);
        if let Some(known) = known {
            return Some(&mut self.layouts[known].1);
        }
        if self.levels == 0 || self.layouts.len() == MAPS_MAX {
            return None;
        }
        let layout = Layout::of_map(self.nested, self.levels - 1);
        self.layouts.push((index, layout));
        self.layouts.last_mut().map(|(_, layout)| layout)
    }
}
