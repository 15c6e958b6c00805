//! Listing a bucket: keys in byte order, page by page, without reading more than the folders that a page touches.

use std::collections::VecDeque;

use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore};

use super::{BucketName, ObjectError, ObjectInfo};

/// What is asked of a listing.
#[derive(Debug, Clone, Default)]
pub struct ListRequest<'a> {
    /// Only keys that begin with this.
    pub prefix: &'a str,
    /// Keys that have this behind the prefix are rolled up into one entry.
    pub delimiter: Option<&'a str>,
    /// Only entries behind this one.
    pub after: &'a str,
    /// The most entries.
    pub limit: usize,
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An object and its key.
    Object(String, ObjectInfo),
    /// What several keys begin with, up to and including the delimiter.
    CommonPrefix(String),
}

impl Entry {
    /// What the entry is ordered by, and where a listing goes on behind it.
    pub fn name(&self) -> &str {
        match self {
            Entry::Object(key, _) => key,
            Entry::CommonPrefix(prefix) => prefix,
        }
    }
}

/// One page of a listing.
#[derive(Debug, Default)]
pub struct Page {
    /// Entries in byte order of their names.
    pub entries: Vec<Entry>,
    /// Whether more would follow.
    pub truncated: bool,
}

/// Something in a folder; a folder's name ends in a slash, which is how its keys are ordered among others.
enum Child {
    Folder(String),
    Object(String, ObjectInfo),
}

impl Child {
    fn name(&self) -> &str {
        match self {
            Child::Folder(name) | Child::Object(name, _) => name,
        }
    }
}

/// The page of `bucket` that `request` asks for.
pub async fn page(
    store: &dyn ObjectStore,
    bucket: &BucketName,
    request: &ListRequest<'_>,
) -> Result<Page, ObjectError> {
    let mut page = Page::default();
    if request.limit == 0 {
        return Ok(page);
    }
    let folder = request
        .prefix
        .rfind('/')
        .map_or("", |slash| &request.prefix[..=slash]);
    let mut path = vec![children(store, bucket, folder).await?];
    while let Some(level) = path.last_mut() {
        let Some(child) = level.pop_front() else {
            path.pop();
            continue;
        };
        if !request.wants(&child, &page) {
            continue;
        }
        let (key, info) = match child {
            Child::Folder(name) => {
                path.push(children(store, bucket, &name).await?);
                continue;
            }
            Child::Object(key, info) => (key, info),
        };
        if page.entries.len() == request.limit {
            page.truncated = true;
            break;
        }
        page.entries.push(match request.common_prefix(&key) {
            Some(prefix) => Entry::CommonPrefix(prefix.to_owned()),
            None => Entry::Object(key, info),
        });
    }
    Ok(page)
}

impl ListRequest<'_> {
    /// Whether `child` may add an entry to `page`: a folder, whether any key below it may.
    fn wants(&self, child: &Child, page: &Page) -> bool {
        let name = child.name();
        let is_folder = matches!(child, Child::Folder(_));
        let below_prefix = name.starts_with(self.prefix);
        let leads_to = |key: &str| is_folder && key.starts_with(name);
        let may_have_prefix = below_prefix || leads_to(self.prefix);
        let may_be_behind = name > self.after || leads_to(self.after);
        if !(may_have_prefix && may_be_behind) {
            return false;
        }
        let Some(rolled_up) = below_prefix.then(|| self.common_prefix(name)).flatten() else {
            return true;
        };
        let listed = page
            .entries
            .last()
            .is_some_and(|last| last.name() == rolled_up);
        !listed && rolled_up > self.after
    }

    /// What `key`, which begins with the prefix, is rolled up into.
    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter.filter(|delimiter| !delimiter.is_empty())?;
        let start = key[self.prefix.len()..].find(delimiter)? + self.prefix.len();
        Some(&key[..start + delimiter.len()])
    }
}

/// What stands in `folder` (empty or ending in a slash), in the order of listings.
async fn children(
    store: &dyn ObjectStore,
    bucket: &BucketName,
    folder: &str,
) -> Result<VecDeque<Child>, ObjectError> {
    // A folder that cannot exist has nothing in it.
    let Ok(location) = StorePath::parse(format!("{bucket}/{folder}")) else {
        return Ok(VecDeque::new());
    };
    let found = store.list_with_delimiter(Some(&location)).await?;
    let base = bucket.as_str().len() + 1;
    let folders = found
        .common_prefixes
        .into_iter()
        .map(|path| Child::Folder(format!("{}/", &path.as_ref()[base..])));
    let objects = found.objects.into_iter().map(|meta: ObjectMeta| {
        let key = meta.location.as_ref()[base..].to_owned();
        Child::Object(key, ObjectInfo::from(meta))
    });
    let mut children: Vec<Child> = folders.chain(objects).collect();
    children.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    Ok(children.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt, PutPayload};
    use proptest::prelude::*;

    use super::*;

    fn bucket() -> BucketName {
        BucketName::parse("bucket").unwrap()
    }

    fn store(keys: &BTreeSet<String>) -> InMemory {
        let store = InMemory::new();
        run(async {
            for key in keys {
                let location = StorePath::parse(format!("bucket/{key}")).unwrap();
                store
                    .put(&location, PutPayload::from_static(b"x"))
                    .await
                    .unwrap();
            }
        });
        store
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    /// Lists page by page to the end.
    fn names(store: &InMemory, prefix: &str, delimiter: Option<&str>, limit: usize) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let after = names.last().cloned().unwrap_or_default();
            let request = ListRequest {
                prefix,
                delimiter,
                after: &after,
                limit,
            };
            let page = run(page(store, &bucket(), &request)).unwrap();
            names.extend(page.entries.iter().map(|entry| entry.name().to_owned()));
            if !page.truncated {
                return names;
            }
        }
    }

    /// The same from the definition: all keys, filtered, rolled up.
    fn expected(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Vec<String> {
        let request = ListRequest {
            prefix,
            delimiter,
            after: "",
            limit: 1,
        };
        let rolled_up = keys
            .iter()
            .filter(|key| key.starts_with(prefix))
            .map(|key| request.common_prefix(key).unwrap_or(key));
        rolled_up
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn pages_go_on_behind_keys_and_common_prefixes() {
        let keys = [
            "asdf",
            "boo/bar",
            "boo/baz/xyzzy",
            "cquux/thud",
            "cquux/bla",
        ]
        .map(str::to_owned)
        .into();
        assert_eq!(
            names(&store(&keys), "", Some("/"), 1),
            ["asdf", "boo/", "cquux/"]
        );
        assert_eq!(
            names(&store(&keys), "boo/", Some("/"), 1),
            ["boo/bar", "boo/baz/"]
        );
        assert_eq!(
            names(&store(&keys), "b", None, 1),
            ["boo/bar", "boo/baz/xyzzy"]
        );
    }

    #[test]
    fn folders_and_files_are_in_the_order_of_their_keys() {
        let keys = ["a.txt", "a/b", "a0", "a-b/c"].map(str::to_owned).into();
        assert_eq!(
            names(&store(&keys), "", None, 10),
            ["a-b/c", "a.txt", "a/b", "a0"]
        );
    }

    #[test]
    fn prefixes_that_no_key_can_have_list_nothing() {
        let keys = ["a/b"].map(str::to_owned).into();
        for prefix in ["../", "/", "a//", "a/\0/", "a/b/"] {
            assert_eq!(
                names(&store(&keys), prefix, None, 10),
                [""; 0],
                "{prefix:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn listings_follow_the_definition(
            keys in proptest::collection::btree_set("[ab.-]{1,2}(/[ab.-]{1,2}){0,3}", 0..20),
            prefix in "([ab]/?){0,3}",
            delimiter in prop_oneof![Just(None), Just(Some("/")), Just(Some("a")), Just(Some("/b"))],
            limit in 1usize..5,
        ) {
            let valid = |key: &String| key.split('/').all(|part| part != "." && part != "..");
            // A name cannot be a file and a folder at once, on disk.
            let keys: BTreeSet<String> = keys.iter().filter(|key| valid(key))
                .filter(|key| !keys.iter().any(|other| other.starts_with(&format!("{key}/")))).cloned().collect();
            prop_assert_eq!(names(&store(&keys), &prefix, delimiter, limit), expected(&keys, &prefix, delimiter));
        }
    }
}
