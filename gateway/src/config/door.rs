//! Settings of what stands in front of the handlers.

use crate::address::Network;
use crate::cors::Origin;
use crate::rate_limits::Quotas;
use anyhow::{Result, ensure};
use clap::Args;

/// Who may ask for how much, and from where.
#[derive(Args, Clone, Debug)]
pub struct DoorConfig {
    /// Requests in a minute, as `class=requests` with commas; `all` stands for every class. `off` is for load tests: then
    /// answers lack the headers that speak of limits
    #[arg(long, env = "TIDINGS_RATE_LIMITS", default_value_t = Quotas::default())]
    pub rate_limits: Quotas,

    /// Networks of proxies in front of this server, such as `10.0.0.0/8,fd00::/8`: what they write into
    /// `X-Forwarded-For` is believed
    #[arg(long, env = "TIDINGS_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,

    /// Origins whose pages may ask, such as `https://example.com`, with commas; `*` for all [default: none]
    #[arg(long, env = "TIDINGS_CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<Origin>,

    /// Connections at one time from one address, or one /64 network of IPv6; further ones are closed. Trusted proxies
    /// have as many as they like
    #[arg(long, env = "TIDINGS_CONNECTIONS_PER_ADDRESS_MAX", default_value_t = 1_000)]
    pub connections_per_address_max: usize,

    /// How long a client may take to take an answer that does not go out at once, in milliseconds
    #[arg(long, env = "TIDINGS_WRITE_TIMEOUT_MS", default_value_t = 30_000)]
    pub write_timeout_ms: u64,
}

impl DoorConfig {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(self.connections_per_address_max > 0, "--connections-per-address-max must be 1 or more");
        ensure!(self.write_timeout_ms > 0, "--write-timeout-ms must be 1 or more");
        Ok(())
    }
}
