//! Faults become gRPC statuses, in one place.

use tonic::{Code, Status};

use crate::domain::fault::{Fault, FaultKind};

/// The status of a fault. What is wrong inside is logged once here with an id, and the caller gets the id; what is wrong
/// with the request is told to the caller in full.
///
/// Messages are kept under a kilobyte: longer ones break HTTP/2 header limits.
pub fn status(error: &(impl Fault + 'static)) -> Status {
    let kind = error.kind();
    match kind {
        FaultKind::Internal | FaultKind::DataLoss => {
            let id = uuid::Uuid::now_v7();
            tracing::error!(error.id = %id, error = %chain(error), "a request failed");
            Status::new(code(kind), format!("the server failed; its log has the reason under {id}"))
        }
        FaultKind::Invalid
        | FaultKind::NotFound
        | FaultKind::AlreadyExists
        | FaultKind::Conflict
        | FaultKind::Unauthenticated
        | FaultKind::Forbidden
        | FaultKind::Overloaded { .. }
        | FaultKind::Cancelled
        | FaultKind::TimedOut
        | FaultKind::Unavailable
        | FaultKind::Unimplemented => {
            let message: String = chain(error).chars().take(800).collect();
            let mut status = Status::new(code(kind), message);
            if let FaultKind::Overloaded { retry_after } = kind {
                status.metadata_mut().insert("retry-after", retry_after.as_secs().max(1).into());
            }
            status
        }
    }
}

/// The gRPC code of a kind of fault.
#[must_use]
pub const fn code(kind: FaultKind) -> Code {
    match kind {
        FaultKind::Invalid => Code::InvalidArgument,
        FaultKind::NotFound => Code::NotFound,
        FaultKind::AlreadyExists => Code::AlreadyExists,
        FaultKind::Conflict => Code::FailedPrecondition,
        FaultKind::Unauthenticated => Code::Unauthenticated,
        FaultKind::Forbidden => Code::PermissionDenied,
        FaultKind::Overloaded { .. } => Code::ResourceExhausted,
        FaultKind::Cancelled => Code::Cancelled,
        FaultKind::TimedOut => Code::DeadlineExceeded,
        FaultKind::Unavailable => Code::Unavailable,
        FaultKind::DataLoss => Code::DataLoss,
        FaultKind::Unimplemented => Code::Unimplemented,
        FaultKind::Internal => Code::Internal,
    }
}

/// An error and its causes in one line, without saying the same twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}
