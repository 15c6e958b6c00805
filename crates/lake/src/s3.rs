//! S3's wire face: [`s3s`] reads requests, checks their signatures and writes answers; this module does what they ask.
//!
//! Served are ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation, ListObjects (both versions),
//! GetObject with ranges, HeadObject, PutObject, CopyObject, DeleteObject and DeleteObjects, multipart uploads from
//! CreateMultipartUpload to ListMultipartUploads, and the tags and ACLs of objects. Everything else is answered with
//! `NotImplemented`. Requests may be signed for any region. Storage classes, ACLs, encryption and tags are kept and
//! answered; they have no effect.

mod attributes;
mod buckets;
mod conditions;
mod error;
mod face;
mod host;
mod integrity;
mod list;
mod multipart;
mod multipart_list;
mod read;
mod signed;
mod tagging;
mod write;

use std::sync::Arc;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, S3ErrorCode};

use crate::limits;
use crate::objects::Objects;
use crate::signature::Credentials;

/// Answers S3's requests.
pub struct S3Face {
    service: S3Service,
    credentials: Credentials,
}

impl S3Face {
    /// The face of `objects` for who has `credentials`; `region` is where buckets say they are.
    pub fn new(objects: Arc<Objects>, region: String, credentials: Credentials) -> Self {
        let mut config = S3Config::default();
        config.xml_max_body_size = limits::XML_BODY_BYTES;
        config.presigned_url_max_skew_time_secs = limits::CLOCK_SKEW.as_secs() as u32;
        let mut builder = S3ServiceBuilder::new(face::Face { objects, region });
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(signed::OneKey(credentials.clone()));
        builder.set_host(host::Hosts);
        Self {
            service: builder.build(),
            credentials,
        }
    }

    /// Answers `request`; `id` is what its answer calls it.
    pub async fn answer(&self, request: Request<Incoming>, id: &str) -> Response<Body> {
        let resource = request.uri().path().to_owned();
        let is_head = request.method() == Method::HEAD;
        let (parts, body) = request.into_parts();
        let now = jiff::Timestamp::now();
        let checked = signed::check(&parts)
            .and_then(|()| signed::check_token(&parts, &self.credentials, now));
        let answered = match checked {
            Ok(()) => self
                .service
                .call(Request::from_parts(parts, Body::from(body)))
                .await
                .map_err(|_| S3ErrorCode::InternalError.into()),
            Err(error) => error.to_http_response(),
        };
        let answered = answered.or_else(|error: S3Error| error.to_http_response());
        // What cannot even be said as an error is told by its status alone.
        let response = answered.unwrap_or_else(|_| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        });
        error::complete(response, &resource, id, is_head)
    }
}
