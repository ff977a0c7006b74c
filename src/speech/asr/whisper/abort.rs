//! A decode that can be stopped. The only file with `unsafe` code.

use std::{
    ffi::c_void,
    sync::atomic::{AtomicBool, Ordering},
};

use whisper_rs::{FullParams, WhisperError, WhisperState};

use crate::speech::asr::CancelFlag;

/// Encodes and decodes `samples` until done or until `cancel` is set.
#[expect(unsafe_code, reason = "whisper-rs' own safe abort callback reads through a pointer of the wrong type")]
pub(super) fn full(
    state: &mut WhisperState,
    mut parameters: FullParams<'static, 'static>,
    samples: &[f32],
    cancel: &CancelFlag,
) -> Result<(), WhisperError> {
    let flag: *const AtomicBool = cancel.shared();
    // SAFETY: `flag` points into the `Arc` that `cancel` borrows for the whole of this call; whisper.cpp keeps neither
    // the function nor the pointer after `full` returns, and only loads the flag through a shared reference.
    unsafe {
        parameters.set_abort_callback(Some(abort_requested));
        parameters.set_abort_callback_user_data(flag.cast_mut().cast::<c_void>());
    }
    state.full(parameters, samples)
}

/// Polled by whisper.cpp between passes; true stops the decode.
#[expect(unsafe_code, reason = "the signature that whisper.cpp calls")]
unsafe extern "C" fn abort_requested(flag: *mut c_void) -> bool {
    // SAFETY: `full` passes a pointer to an `AtomicBool` that outlives the call.
    unsafe { (*flag.cast::<AtomicBool>().cast_const()).load(Ordering::Relaxed) }
}
