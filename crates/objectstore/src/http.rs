//! The HTTP client of `object_store`, and the data that it takes from a response.

mod client;
mod response;

pub(crate) use client::{Transport, UploadChecksum};
pub(crate) use response::{
    NO_RESPONSE, RequestError, ResponseInfo, ResponseSlot, extensions, response_info,
};
