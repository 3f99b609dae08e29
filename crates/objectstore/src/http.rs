//! The HTTP client that `object_store` sends requests with, and what it learns from a response.

mod client;
mod response;

pub(crate) use client::{Transport, UploadChecksum};
pub(crate) use response::{
    NO_RESPONSE, RequestError, ResponseInfo, ResponseSlot, extensions, response_info,
};
