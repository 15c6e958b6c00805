//! Tags and ACLs of objects. Both are kept and answered; neither decides anything.

use s3s::dto::*;
use s3s::{S3ErrorCode, S3Result};

use super::attributes::tags_of;
use super::buckets::owner;
use super::face::Face;
use super::read::{readable, refuse_version};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

impl Face {
    pub(super) async fn tags(
        &self,
        input: GetObjectTaggingInput,
    ) -> S3Result<GetObjectTaggingOutput> {
        refuse_version(input.version_id.as_deref())?;
        let bucket = self.require(&input.bucket)?;
        let (_, attributes) = self.objects.head(&bucket, &readable(&input.key)?).await?;
        let tags = attributes.tags.into_iter().map(|(key, value)| Tag {
            key: Some(key),
            value: Some(value),
        });
        Ok(GetObjectTaggingOutput {
            tag_set: tags.collect(),
            version_id: None,
        })
    }

    pub(super) async fn tag(
        &self,
        input: PutObjectTaggingInput,
    ) -> S3Result<PutObjectTaggingOutput> {
        refuse_version(input.version_id.as_deref())?;
        let (bucket, key) = (self.require(&input.bucket)?, readable(&input.key)?);
        let tags = tags_of(input.tagging)?;
        let change = |attributes: &mut crate::objects::Attributes| attributes.tags = tags;
        self.objects
            .change_attributes((&bucket, &key), change)
            .await?;
        Ok(PutObjectTaggingOutput::default())
    }

    pub(super) async fn untag(
        &self,
        input: DeleteObjectTaggingInput,
    ) -> S3Result<DeleteObjectTaggingOutput> {
        refuse_version(input.version_id.as_deref())?;
        let (bucket, key) = (self.require(&input.bucket)?, readable(&input.key)?);
        let change = |attributes: &mut crate::objects::Attributes| attributes.tags.clear();
        self.objects
            .change_attributes((&bucket, &key), change)
            .await?;
        Ok(DeleteObjectTaggingOutput::default())
    }

    pub(super) async fn acl(&self, input: GetObjectAclInput) -> S3Result<GetObjectAclOutput> {
        refuse_version(input.version_id.as_deref())?;
        let bucket = self.require(&input.bucket)?;
        let (_, attributes) = self.objects.head(&bucket, &readable(&input.key)?).await?;
        Ok(GetObjectAclOutput {
            grants: Some(grants(attributes.acl.as_deref().unwrap_or_default())),
            owner: Some(owner()),
            ..GetObjectAclOutput::default()
        })
    }

    pub(super) async fn set_acl(&self, input: PutObjectAclInput) -> S3Result<PutObjectAclOutput> {
        refuse_version(input.version_id.as_deref())?;
        let (bucket, key) = (self.require(&input.bucket)?, readable(&input.key)?);
        // Grants to single accounts would be kept for nobody: there is one account here.
        let acl = input
            .acl
            .ok_or(S3ErrorCode::NotImplemented)?
            .as_str()
            .to_owned();
        let change = |attributes: &mut crate::objects::Attributes| attributes.acl = Some(acl);
        self.objects
            .change_attributes((&bucket, &key), change)
            .await?;
        Ok(PutObjectAclOutput::default())
    }
}

/// What a canned ACL grants, written out.
fn grants(acl: &str) -> Vec<Grant> {
    let owner = owner();
    let grantee = Grantee {
        display_name: owner.display_name,
        email_address: None,
        id: owner.id,
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    let group = |uri: &str| Grantee {
        display_name: None,
        email_address: None,
        id: None,
        type_: Type::from_static(Type::GROUP),
        uri: Some(uri.to_owned()),
    };
    let grant = |grantee: Grantee, permission: &'static str| Grant {
        grantee: Some(grantee),
        permission: Some(Permission::from_static(permission)),
    };
    let mut grants = vec![grant(grantee, Permission::FULL_CONTROL)];
    let more: &[(&str, &'static str)] = match acl {
        "public-read" => &[(ALL_USERS, Permission::READ)],
        "public-read-write" => &[
            (ALL_USERS, Permission::READ),
            (ALL_USERS, Permission::WRITE),
        ],
        "authenticated-read" => &[(AUTHENTICATED_USERS, Permission::READ)],
        _ => &[],
    };
    grants.extend(
        more.iter()
            .map(|(uri, permission)| grant(group(uri), permission)),
    );
    grants
}
