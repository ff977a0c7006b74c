//! For which processor the engine was compiled, as it says itself: cargo does not build it anew when the variables of its build
//! change, so that what they are now is no proof.

use std::ffi::c_int;

use whisper_rs::whisper_rs_sys as sys;

/// What the engine says of one feature.
type Says = unsafe extern "C" fn() -> c_int;

/// Features of a processor as Linux names them, and what says whether the engine was compiled for them.
const FEATURES: [(&str, Says); 11] = [
    ("ssse3", sys::ggml_cpu_has_ssse3),
    ("avx", sys::ggml_cpu_has_avx),
    ("avx2", sys::ggml_cpu_has_avx2),
    ("fma", sys::ggml_cpu_has_fma),
    ("f16c", sys::ggml_cpu_has_f16c),
    ("bmi2", sys::ggml_cpu_has_bmi2),
    ("avx_vnni", sys::ggml_cpu_has_avx_vnni),
    ("avx512f", sys::ggml_cpu_has_avx512),
    ("avx512vbmi", sys::ggml_cpu_has_avx512_vbmi),
    ("avx512_vnni", sys::ggml_cpu_has_avx512_vnni),
    ("avx512_bf16", sys::ggml_cpu_has_avx512_bf16),
];

/// The features that the engine was compiled for, as Linux names them; those of x86-64 alone are asked for.
#[expect(unsafe_code, reason = "whisper-rs has no call for all of them")]
#[must_use]
pub fn features() -> Vec<&'static str> {
    let has = |says: &Says| {
        // SAFETY: each takes nothing and returns a constant that the preprocessor chose; it touches no state, and as a load of
        // a constant it needs none of the features that it tells of.
        unsafe { says() != 0 }
    };
    FEATURES.iter().filter(|(_, says)| has(says)).map(|(name, _)| *name).collect()
}
