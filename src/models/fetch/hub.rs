//! Files of a model hub, over HTTPS.

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::Path,
    sync::Arc,
};

use ureq::tls::{RootCerts, TlsConfig};

use crate::models::{
    digest::{Fingerprint, Fingerprinter},
    fetch::{FetchError, Fetcher, expect, finish},
    manifest::InputFile,
    progress::Progress,
};

/// Downloads every file of `input` from `HUB/path/NAME` into `into` and compares each with its fingerprint.
pub(super) fn gather(
    fetcher: &Fetcher,
    path: &str,
    input: &[InputFile],
    into: &Path,
    progress: &mut dyn Progress,
) -> Result<(), FetchError> {
    let agent = agent(fetcher);
    // The small files first: a hub that holds another revision is found out before the weights are downloaded.
    let mut input: Vec<&InputFile> = input.iter().collect();
    input.sort_by_key(|file| file.size);
    for file in input {
        let url = format!("{}/{path}/{}", fetcher.hub, file.name);
        let found = download(&agent, &url, file, &into.join(&file.name), progress)?;
        expect(&url, file.fingerprint(), found)?;
    }
    Ok(())
}

fn agent(fetcher: &Fetcher) -> ureq::Agent {
    // The provider is given to this agent alone, so that no process-wide default is set behind the server's back.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_resolve(Some(fetcher.connect))
        .timeout_connect(Some(fetcher.connect))
        .timeout_recv_response(Some(fetcher.stall))
        .timeout_per_read(Some(fetcher.stall))
        .user_agent(concat!("vivavoce/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

fn download(
    agent: &ureq::Agent,
    url: &str,
    file: &InputFile,
    to: &Path,
    progress: &mut dyn Progress,
) -> Result<Fingerprint, FetchError> {
    let mut response =
        agent.get(url).call().map_err(|source| FetchError::Http { url: url.to_owned(), source: Box::new(source) })?;
    if let Some(found) = response.body().content_length().filter(|found| *found != file.size) {
        return Err(FetchError::Announced { url: url.to_owned(), found, expected: file.size });
    }
    let io = |source| FetchError::Io { path: to.to_owned(), source };
    let out = File::create(to).map_err(io)?;
    let mut out = Fingerprinter::new(BufWriter::with_capacity(1 << 20, out));
    progress.begin(&format!("downloading {}", file.name), Some(file.size));
    // One byte more than expected is enough to know that it is too long.
    let mut body = response.body_mut().as_reader().take(file.size + 1);
    let (mut buffer, mut bytes) = (vec![0; 64 << 10], 0);
    loop {
        let n = body.read(&mut buffer).map_err(|source| FetchError::Body { url: url.to_owned(), bytes, source })?;
        if n == 0 {
            break;
        }
        out.write_all(&buffer[..n]).map_err(io)?;
        bytes += n as u64;
        progress.advance(n as u64);
    }
    progress.end();
    finish(out, to)
}
