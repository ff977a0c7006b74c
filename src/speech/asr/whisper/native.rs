//! A decode that can be stopped, and that chooses its language by itself. One of the two files with `unsafe` code.
//!
//! whisper.cpp finds out a language by another pass of its encoder, which is most of the work. Here the decode begins with any of
//! the allowed ones; when it has encoded the window and asks which tokens may come first, the decoder is asked what it expects
//! behind the start token alone, which holds the languages and whether anybody speaks, and then reads the prompt again with the
//! likeliest. Two short decoder passes take the place of the encoder's.

use std::{
    ffi::{c_int, c_void},
    slice,
    sync::atomic::{AtomicBool, Ordering},
};

use tracing::subscriber::NoSubscriber;
use whisper_rs::{FullParams, WhisperError, WhisperState, whisper_rs_sys as sys};

use crate::speech::asr::CancelFlag;

/// What the decoder expects behind the start token.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// The logit of each token; empty where the decode did not come so far.
    pub(super) logits: Vec<f32>,
    /// Whether the decode was given up since what it was told is in another language.
    pub(super) stranger: bool,
}

/// What a decode is told before it hears.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Text as tokens, at most 200; empty for nothing.
    pub(super) tokens: Vec<sys::whisper_token>,
    /// In which language; `None` where it does not matter.
    pub(super) language: Option<c_int>,
}

/// More tokens than this are never drawn: whisper.cpp gives up at 220, in the middle of a word.
const MOST_TOKENS: usize = 218;

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "OpenMP's own function; whisper-rs-sys links it")]
unsafe extern "C" {
    /// How deep regions of several threads may be nested in what the calling thread does; 0: it works alone.
    safe fn omp_set_max_active_levels(levels: c_int);
}

/// Lets this thread work alone on what it would share with others, or share again. A token is too little work to be shared: two
/// threads that wait for each other at every step of it take half as long again as one. whisper.cpp has one number of threads for
/// the encoder, which is worth sharing, and for tokens.
fn work_alone(alone: bool) {
    #[cfg(target_os = "linux")]
    omp_set_max_active_levels(c_int::from(!alone));
    #[cfg(not(target_os = "linux"))]
    let _ = alone;
}

/// What makes a decode stop.
struct Stop<'a> {
    cancel: &'a AtomicBool,
    stranger: AtomicBool,
}

/// What native code is lent while a decode runs.
struct Lent<'a> {
    stop: &'a Stop<'a>,
    before: &'a Before,
    /// Languages to choose from.
    allowed: &'a [i32],
    threads: c_int,
    /// With so many tokens the text is at its end.
    most: usize,
    start: Start,
}

/// Encodes and decodes `samples` until done or until `cancel` is set, in the likeliest of the `allowed` languages. The
/// parameters must be without a prompt and name one of them. Told something in another language than the likeliest, it gives up.
#[expect(unsafe_code, reason = "whisper-rs' own safe callbacks leak, or read through a pointer of the wrong type")]
pub(super) fn full(
    state: &mut WhisperState,
    parameters: FullParams<'static, 'static>,
    (samples, before): (&[f32], &Before),
    (allowed, threads, most): (&[i32], usize, usize),
    cancel: &CancelFlag,
) -> Result<Start, WhisperError> {
    let mut parameters: FullParams<'_, '_> = parameters;
    if !before.tokens.is_empty() {
        parameters.set_tokens(&before.tokens);
    }
    let threads = c_int::try_from(threads).unwrap_or(1);
    let stop = Stop { cancel: cancel.shared(), stranger: AtomicBool::new(false) };
    // One more is the mark of the beginning, and the end comes behind them.
    let most = (most + 1).min(MOST_TOKENS);
    parameters.set_max_tokens(c_int::try_from(most).unwrap_or(0));
    let mut lent = Lent { stop: &stop, before, allowed, threads, most, start: Start::default() };
    let flag: *const Stop<'_> = &raw const stop;
    let user = (&raw mut lent).cast::<c_void>();
    // SAFETY: `flag` points to `stop` and `user` to `lent`, which live to the end of this call; `lent` is touched by nobody else
    // before `full` returns, and of `stop` both sides read and set atomics alone. whisper.cpp keeps neither the functions nor the pointers. It
    // asks for the abort from the calling thread; the filter it may call from threads of its own, but while no token is there
    // yet, which is all that `choose` acts on, from the calling thread alone.
    unsafe {
        parameters.set_abort_callback(Some(abort_requested));
        parameters.set_abort_callback_user_data(flag.cast_mut().cast::<c_void>());
        parameters.set_filter_logits_callback(Some(choose));
        parameters.set_filter_logits_callback_user_data(user);
    }
    // What whisper.cpp logs while it decodes is what was said (its debug lines), or that it was stopped, or what it returns in
    // any case: none of it belongs into a log.
    let done = tracing::subscriber::with_default(NoSubscriber::new(), || state.full(parameters, samples));
    work_alone(false);
    lent.start.stranger = stop.stranger.load(Ordering::Relaxed);
    if !lent.start.stranger {
        done?;
    }
    Ok(lent.start)
}

/// Polled by whisper.cpp between passes; true stops the decode.
#[expect(unsafe_code, reason = "the signature that whisper.cpp calls")]
unsafe extern "C" fn abort_requested(flag: *mut c_void) -> bool {
    // SAFETY: `full` passes a pointer to a `Stop` that outlives the call.
    let stop = unsafe { &*flag.cast::<Stop<'_>>().cast_const() };
    stop.cancel.load(Ordering::Relaxed) || stop.stranger.load(Ordering::Relaxed)
}

/// Called by whisper.cpp with the logits of the next token, before it draws one.
#[expect(unsafe_code, reason = "the signature that whisper.cpp calls, and its own functions")]
unsafe extern "C" fn choose(
    context: *mut sys::whisper_context,
    state: *mut sys::whisper_state,
    _tokens: *const sys::whisper_token_data,
    count: c_int,
    logits: *mut f32,
    user: *mut c_void,
) {
    if count > 0 {
        // SAFETY: `full` passes a pointer to a `Lent` that outlives the call. Whoever calls with tokens only reads it, and nobody
        // writes to it then. `logits` holds one number for each token of the vocabulary, and is the caller's alone.
        unsafe {
            let most = (*user.cast::<Lent<'_>>().cast_const()).most;
            if usize::try_from(count).is_ok_and(|count| count >= most) {
                end(context, logits);
            }
        }
        return;
    }
    // The window is encoded, on this thread.
    work_alone(true);
    // SAFETY: `full` passes a pointer to a `Lent` that outlives the call, and before the first token whisper.cpp calls from one
    // thread alone (`full` says why nobody else touches it). `context` and `state` are those of the decode under way, and
    // `logits` holds one number for each token of the vocabulary: `whisper_process_logits` resizes it so.
    unsafe {
        let lent = &mut *user.cast::<Lent<'_>>();
        let Ok(tokens) = usize::try_from(sys::whisper_n_vocab(context)) else { return };
        let next = slice::from_raw_parts_mut(logits, tokens);
        let Some(expected) = read(context, state, &[sys::whisper_token_sot(context)], 0, lent.threads) else { return };
        lent.start.logits = expected.to_vec();
        let named = lent.allowed.first().copied().unwrap_or_default();
        let Some(likeliest) = likeliest(context, lent.allowed, &lent.start.logits) else { return };
        // The prompt is read again also where the language is the one that was named: the start token took the place of its
        // first token alone, and the pass costs little; where there is no choice nothing is changed.
        let language = if lent.allowed.len() > 1 { likeliest } else { named };
        let rest = [sys::whisper_token_lang(context, language), sys::whisper_token_transcribe(context)];
        let rest = if sys::whisper_is_multilingual(context) == 0 { &rest[..0] } else { &rest[..] };
        let told = &lent.before.tokens;
        if !told.is_empty() && lent.before.language.is_some_and(|told| told != language) {
            lent.stop.stranger.store(true, Ordering::Relaxed);
            return;
        }
        // What was told stands before the start token, whose reading above took its place.
        let (prompt, past) = if told.is_empty() {
            (rest.to_vec(), 1)
        } else {
            let marks = [sys::whisper_token_prev(context), sys::whisper_token_sot(context)];
            ([&marks[..1], told, &marks[1..], rest].concat(), 0)
        };
        if prompt.is_empty() {
            return;
        }
        let Some(expected) = read(context, state, &prompt, past, lent.threads) else { return };
        for (next, expected) in next.iter_mut().zip(expected) {
            // What whisper.cpp has ruled out stays so.
            if *next > f32::NEG_INFINITY {
                *next = *expected;
            }
        }
    }
}

/// Leaves the end of the text as the only token that may come. A text that is cut off has to end with it: where whisper.cpp 1.8.3
/// aligns one whose last token is a word, it reads behind the last segment.
///
/// # Safety
/// `context` must be one of whisper.cpp's, and `logits` hold one number for each token of its vocabulary.
#[expect(unsafe_code, reason = "whisper.cpp's own functions")]
unsafe fn end(context: *mut sys::whisper_context, logits: *mut f32) {
    // SAFETY: as this function's own.
    let (next, end) = unsafe {
        let Ok(tokens) = usize::try_from(sys::whisper_n_vocab(context)) else { return };
        (slice::from_raw_parts_mut(logits, tokens), sys::whisper_token_eot(context))
    };
    next.fill(f32::NEG_INFINITY);
    if let Some(end) = usize::try_from(end).ok().and_then(|end| next.get_mut(end)) {
        *end = 0.0;
    }
}

/// Has the decoder read `tokens` behind `past` others; what it expects next, `None` where it fails.
///
/// # Safety
/// `context` and `state` must be those of a decode that is under way on this thread and waits for it. What is given ends with
/// the next call.
#[expect(unsafe_code, reason = "whisper.cpp's own functions")]
unsafe fn read<'a>(
    context: *mut sys::whisper_context,
    state: *mut sys::whisper_state,
    tokens: &[sys::whisper_token],
    past: c_int,
    threads: c_int,
) -> Option<&'a [f32]> {
    let count = c_int::try_from(tokens.len()).ok().filter(|count| *count > 0)?;
    // SAFETY: `tokens` are `count` tokens; after a decode whisper.cpp's buffer holds a row for each of them, the last of which
    // it has written.
    unsafe {
        if sys::whisper_decode_with_state(context, state, tokens.as_ptr(), count, past, threads) != 0 {
            return None;
        }
        let row = usize::try_from(sys::whisper_n_vocab(context)).ok()?;
        let first = sys::whisper_get_logits_from_state(state);
        if first.is_null() {
            return None;
        }
        Some(slice::from_raw_parts(first.add((tokens.len() - 1) * row), row))
    }
}

/// The likeliest of the `allowed` languages.
///
/// # Safety
/// `context` must be one of whisper.cpp's.
#[expect(unsafe_code, reason = "whisper.cpp's own functions")]
unsafe fn likeliest(context: *mut sys::whisper_context, allowed: &[i32], logits: &[f32]) -> Option<i32> {
    let logit = |language: i32| {
        // SAFETY: as this function's own.
        let token = unsafe { sys::whisper_token_lang(context, language) };
        usize::try_from(token).ok().and_then(|token| logits.get(token)).copied().unwrap_or(f32::NEG_INFINITY)
    };
    allowed
        .iter()
        .copied()
        .map(|language| (language, logit(language)))
        .fold(None, |best, one| match best {
            Some((_, top)) if top >= one.1 => best,
            _ => Some(one),
        })
        .map(|(language, _)| language)
}
