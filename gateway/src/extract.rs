//! Ids in paths and parameters in queries, with our errors instead of the framework's.

use crate::error::ApiError;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};

/// What stands in the path. Whatever is no id is 400.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(ApiError))]
pub(crate) struct InPath<T>(pub(crate) T);

/// What stands in the query. What is not known is ignored.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(ApiError))]
pub(crate) struct InQuery<T>(pub(crate) T);

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        Self::invalid("An id in the path is not a UUID, or the path is not UTF-8")
    }
}

impl From<QueryRejection> for ApiError {
    fn from(_: QueryRejection) -> Self {
        Self::invalid("A parameter of the query has the wrong form, or stands twice")
    }
}
