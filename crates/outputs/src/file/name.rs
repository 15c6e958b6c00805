//! File names made from tags.

use record::Tag;

/// The longest name that common file systems take.
const LONGEST: usize = 255;

/// A name for the file of `tag` that cannot leave its folder: path separators and control bytes become `_`, and so does
/// a leading dot of `.` and `..`. Tags come from the network; upstream's file output once followed them anywhere
/// (CVE-2025-12972).
pub fn of_tag(tag: &Tag) -> String {
    let mut name: String = tag
        .to_string()
        .chars()
        .map(|character| {
            if matches!(character, '/' | '\\') || character.is_control() {
                '_'
            } else {
                character
            }
        })
        .collect();
    if name.is_empty() || name == "." || name == ".." {
        name = name.replace('.', "_") + "_";
    }
    while name.len() > LONGEST {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tag_leaves_the_folder() {
        let cases = [
            ("kube.var.log", "kube.var.log"),
            ("../../etc/x", ".._.._etc_x"),
            ("..", "___"),
            ("", "_"),
            ("a\0b", "a_b"),
        ];
        for (tag, name) in cases {
            assert_eq!(of_tag(&Tag::from(tag)), name);
        }
        assert_eq!(of_tag(&Tag::from("é".repeat(200).as_str())).len(), 254);
    }
}
