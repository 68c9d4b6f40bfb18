//! How this server reaches others over HTTP: with TLS where it was built with it.

use anyhow::Result;
use hyper_util::client::legacy::connect::HttpConnector;

#[cfg(feature = "servers")]
pub(crate) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "servers"))]
pub(crate) type Connector = HttpConnector;

/// What opens connections to this URL's server, and to others of its scheme.
#[cfg(feature = "servers")]
pub(crate) fn connector(_: &str) -> Result<Connector> {
    use anyhow::Context;
    let builder = hyper_rustls::HttpsConnectorBuilder::new();
    Ok(builder.with_native_roots().context("the machine's certificates")?.https_or_http().enable_http1().build())
}

/// The same without TLS.
#[cfg(not(feature = "servers"))]
pub(crate) fn connector(url: &str) -> Result<Connector> {
    anyhow::ensure!(
        !url.starts_with("https:"),
        "{url}: this program was built without the feature `servers` and speaks no TLS"
    );
    Ok(HttpConnector::new())
}
