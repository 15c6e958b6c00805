//! An object, read as it is expected.

use super::super::window::{self, Machine, Window};
use super::singles::Text;
use super::strings::{Strings, Written};
use super::{Joint, Kind, Step};
use crate::builder::Builder;
use crate::{Span, Value};

/// An object that is read.
pub(super) struct Object<'a> {
    pub text: Text<'a>,
    pub steps: &'a [Step],
    /// Where each step begins is written here.
    pub places: &'a mut [u32],
    /// Where in the batch its fields are.
    pub fields: usize,
}

impl Object<'_> {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub fn read_avx2(&mut self, out: &mut Builder<'_>) -> Option<u64> {
        self.read::<window::Avx2>(out)
    }

    /// Gives the fields their values, if the object is as expected: which of them may have a backslash.
    ///
    /// Each value is written where it is found. What is written from one place for all is put together in memory before.
    #[inline(always)]
    pub fn read<M: Machine>(&mut self, out: &mut Builder<'_>) -> Option<u64> {
        let Text { space, end, .. } = self.text;
        let start = end - self.text.span.len();
        let most = self.text.span.len();
        let mut strings = Strings::new(space, end, out.made, most);
        let (mut at, mut backslashes) = (start, 0);
        for (step, place) in self.steps.iter().zip(self.places.iter_mut()) {
            // SAFETY: it begins not behind the end.
            if !unsafe { has::<M>(space, &step.joint, at) } {
                return None;
            }
            *place = (at - start) as u32;
            at += step.joint.len as usize;
            if step.kind == Kind::Nothing && at <= end {
                continue;
            }
            if at >= end {
                return None;
            }
            let field = self.fields + step.field as usize;
            if step.kind == Kind::Text {
                // SAFETY: the text begins before the end, which is far from the end of the space.
                let (quote, written) = unsafe { strings.read::<M>(at) }?;
                if quote >= end {
                    return None;
                }
                let text = match written {
                    Written::Plain => self.text.span.part(at - start..quote - start),
                    Written::Escaped {
                        made,
                        has_backslash,
                    } => {
                        backslashes |= if has_backslash { step.bit } else { 0 };
                        Span::in_arena(out.base + made.start..out.base + made.end)
                    }
                };
                out.fields[field].value = Value::Str(text);
                at = quote;
            } else if step.kind == Kind::Single && space[at] != b'"' {
                at += self.text.single(at, &mut out.fields[field].value)?;
                if at > end {
                    return None;
                }
            } else {
                // Lent, they would not stay in registers.
                strings.end();
                at = self.text.other(at, out, field)?;
                backslashes |= step.bit;
                strings = Strings::new(space, end, out.made, most);
            }
        }
        if at != end {
            return None;
        }
        strings.end();
        Some(backslashes)
    }
}

/// Whether a joint stands at `at`.
///
/// # Safety
/// A window must follow in the space.
#[inline(always)]
unsafe fn has<M: Machine>(space: &[u8], joint: &Joint, at: usize) -> bool {
    debug_assert!(at + size_of::<Window>() <= space.len());
    // SAFETY: as promised by the caller.
    let there = unsafe { &*space.as_ptr().add(at).cast::<Window>() };
    M::equal(there, &joint.text) & joint.mask == joint.mask
}
