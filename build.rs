//! Compiles the protocol, and notes for which processor the engine is built. protox reads the `.proto` files, so that no
//! `protoc` has to be installed.

use std::{env, fs};

/// Features of a processor that the engine's kernels use, as Linux names them.
const FEATURES: [&str; 25] = [
    "ssse3",
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "bmi2",
    "avx_vnni",
    "avx512f",
    "avx512cd",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512vbmi",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimdhp",
    "asimddp",
    "i8mm",
    "sve",
    "sve2",
];

/// What the engine's own build can turn on when it is told not to build for the machine at hand (`GGML_NATIVE=OFF`): the
/// variable, whether it is on by itself, and the features.
const PORTABLE: [(&str, bool, &str); 10] = [
    ("GGML_SSE42", true, "sse4_2"),
    ("GGML_AVX", true, "avx"),
    ("GGML_AVX2", true, "avx2"),
    ("GGML_FMA", true, "fma"),
    ("GGML_F16C", true, "f16c"),
    ("GGML_BMI2", true, "bmi2"),
    ("GGML_AVX512", false, "avx512f avx512bw avx512cd avx512dq avx512vl"),
    ("GGML_AVX512_VBMI", false, "avx512vbmi"),
    ("GGML_AVX512_VNNI", false, "avx512_vnni"),
    ("GGML_AVX512_BF16", false, "avx512_bf16"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    let (build, features) = engine();
    println!("cargo::rustc-env=VIVAVOCE_ENGINE_BUILD={build}");
    println!("cargo::rustc-env=VIVAVOCE_ENGINE_FEATURES={features}");
    #[cfg(feature = "server")]
    protocol()?;
    Ok(())
}

/// For what the engine is built, by the rules of its `ggml/CMakeLists.txt`: `native` for this machine, `portable` for a
/// processor with AVX2, `baseline` for any, `none` without an engine; with the features it then needs.
fn engine() -> (&'static str, String) {
    println!("cargo::rerun-if-env-changed=GGML_NATIVE");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    if env::var_os("CARGO_FEATURE_WHISPER").is_none() {
        return ("none", String::new());
    }
    let portable_by_default =
        env::var_os("SOURCE_DATE_EPOCH").is_some() || env::var_os("HOST") != env::var_os("TARGET");
    PORTABLE.iter().for_each(|(name, ..)| println!("cargo::rerun-if-env-changed={name}"));
    match (switch("GGML_NATIVE"), portable_by_default) {
        (Some(true), _) | (None, false) => ("native", features_here()),
        (Some(false), false) if cfg!(target_arch = "x86_64") => ("portable", portable()),
        (Some(false) | None, _) => ("baseline", String::new()),
    }
}

/// A variable as cmake reads it.
fn switch(name: &str) -> Option<bool> {
    let value = env::var_os(name)?.to_string_lossy().to_ascii_uppercase();
    Some(["ON", "1", "TRUE", "YES", "Y"].contains(&value.as_str()))
}

/// What the variables turn on.
fn portable() -> String {
    let on = PORTABLE.iter().filter(|(name, by_itself, _)| switch(name).unwrap_or(*by_itself));
    on.map(|(.., features)| *features).collect::<Vec<_>>().join(" ")
}

/// Those of [`FEATURES`] that this machine has.
fn features_here() -> String {
    // Where there is no such file, nothing is known and nothing is claimed.
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("flags") || line.starts_with("Features")).unwrap_or_default();
    let here: Vec<&str> = line.split_whitespace().filter(|word| FEATURES.contains(word)).collect();
    here.join(" ")
}

#[cfg(feature = "server")]
fn protocol() -> Result<(), Box<dyn std::error::Error>> {
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(["vivavoce/v1/transcription.proto"])?;
    // Reflection and the compatibility test read this file.
    let out = std::path::PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("vivavoce.v1.descriptors"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
