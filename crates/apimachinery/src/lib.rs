//! The parts of a Kubernetes API that need no server, as in `k8s.io/apimachinery`: error responses,
//! validation of names, selectors, structural schemas, patches, and the decoding of requests.
//!
//! The crate does no I/O, reads no clock and knows no resource. Clients choose its input, so every
//! parser has a limit, and the fuzz targets call these functions directly.

pub mod api_error;
pub mod duration;
pub mod fields;
pub mod name_generator;
pub mod patch;
pub mod protobuf;
pub mod request_info;
pub mod schema;
pub mod selector;
pub mod serializer;
pub mod validation;

pub use api_error::{ApiError, FieldError};
pub use request_info::RequestInfo;
