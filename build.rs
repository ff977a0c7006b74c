//! Compiles the protocol. protox reads the `.proto` files, so that no `protoc` has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    #[cfg(feature = "server")]
    protocol()?;
    Ok(())
}

#[cfg(feature = "server")]
fn protocol() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::Compiler::new(["proto"])?
        .include_imports(true)
        .include_source_info(true)
        .open_files(["vivavoce/v1/transcription.proto"])?
        .file_descriptor_set();
    // With source info, so that comments reach the generated code. Reflection and the compatibility test read this file.
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    tonic_prost_build::configure()
        .file_descriptor_set_path(out.join("vivavoce.v1.descriptors"))
        .build_client(true)
        .build_server(true)
        .compile_fds(descriptors)?;
    Ok(())
}
