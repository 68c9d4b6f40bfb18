//! What somebody tries who means harm, in the order of OWASP's API top ten (2023), and with the tokens of RFC 8725: each
//! attempt has its documented answer and changes nothing. Printed as a table: `cargo test -p tidings-tests --test e2e
//! attacks -- --nocapture`. What is tried below HTTP (slow clients, framing, floods) stands in `limits` and `door`.

#![expect(clippy::print_stdout, reason = "the table of what was tried is a result")]

mod bombs;
mod others;
mod paths;
mod tokens;

use anyhow::{Result, ensure};
use tidings_tests::server::{Answer, Call, Person, TestServer};

/// A server, whoever is attacked on it, and what was tried.
struct Attack {
    server: TestServer,
    ada: Person,
    eve: Person,
    before: u64,
    tried: Vec<(String, String)>,
}

impl Attack {
    /// Ada has an account, and so has Eve.
    async fn begin() -> Result<Self> {
        let server = TestServer::start().await?;
        let (ada, eve) = (server.register("ada").await?, server.register("eve").await?);
        let mut attack = Self { server, ada, eve, before: 0, tried: Vec::new() };
        attack.starts_here().await?;
        Ok(attack)
    }

    /// Nothing is written from here on.
    async fn starts_here(&mut self) -> Result<()> {
        self.before = self.server.records().await?;
        Ok(())
    }

    /// Tries something, which must be answered with this status.
    async fn tries(
        &mut self,
        what: impl Into<String>,
        call: impl Fn(&TestServer) -> Call<'_>,
        status: u16,
    ) -> Result<Answer> {
        let what = what.into();
        let answer = call(&self.server).send().await?;
        ensure!(answer.status == status, "{what}: {} instead of {status}: {}", answer.status, answer.body);
        let name = answer.body["error"].as_str().unwrap_or_default();
        self.tried.push((what, format!("{status} {name}")));
        Ok(answer)
    }

    /// That nothing was written, and what was tried.
    async fn end(self, title: &str) -> Result<()> {
        let after = self.server.records().await?;
        ensure!(after == self.before, "{title}: {} records were written", after - self.before);
        let width = self.tried.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
        let lines = self.tried.iter().map(|(what, answer)| format!("  {what:width$}  {answer}\n")).collect::<String>();
        println!("{title}: {} attempts, nothing written\n{lines}", self.tried.len());
        self.server.close().await
    }
}
