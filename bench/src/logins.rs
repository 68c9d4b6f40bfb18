//! Whether the time of a refused login tells if there is such an account: addresses that are known and ones that are not,
//! in turns, on one connection.

use crate::http::{Connection, start_tidings};
use crate::options::Scale;
use crate::report::{Cell, Floor, Section};
use crate::rounds::{median, ms};
use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2_000;
/// The ends of the interval that holds 95 % of them.
const INTERVAL: [f64; 2] = [0.025, 0.975];
/// How much of the time the difference may be.
const DIFFERENCE_MAX: f64 = 0.05;
const PASSWORD: &str = "correct horse battery";

pub(crate) async fn run(scale: &Scale, directory: &Path) -> Result<(Section, Floor)> {
    let data = tempfile::tempdir_in(directory)?;
    let (mut server, started) = start_tidings(data.path()).await?;
    let mut connection = Connection::open(started.address).await?;
    let mut post = async |path: &str, body: serde_json::Value, status: u16| {
        let (body, host) = (body.to_string(), started.address);
        let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n");
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let begun = Instant::now();
        connection.exchange(request.as_bytes()).await?.expect(status)?;
        anyhow::Ok(ms(begun.elapsed()))
    };
    let person = json!({"email": "known@example.com", "username": "known", "password": PASSWORD});
    post("/users/auth/register", person, 201).await?;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for n in 0..scale.logins {
        // No address is unknown twice, and the order changes from pair to pair.
        let stranger = format!("nobody{n}@example.com");
        let pair: [(&str, &mut Vec<f64>); 2] = [("known@example.com", &mut known), (&stranger, &mut unknown)];
        let pair = if n % 2 == 0 {
            pair
        } else {
            let [a, b] = pair;
            [b, a]
        };
        for (email, times) in pair {
            let login = json!({"email": email, "password": "another horse battery"});
            times.push(post("/users/auth/login", login, 401).await?);
        }
    }
    server.stop()?;
    Ok(compare(scale, &known, &unknown))
}

fn compare(scale: &Scale, known: &[f64], unknown: &[f64]) -> (Section, Floor) {
    let middle = |times: &[f64]| median(times.iter().copied());
    let mut dice = StdRng::seed_from_u64(1);
    let mut resampled = |times: &[f64]| median((0..times.len()).map(|_| times[dice.random_range(0..times.len())]));
    let mut differences = (0..RESAMPLES).map(|_| resampled(known) - resampled(unknown)).collect::<Vec<_>>();
    differences.sort_unstable_by(f64::total_cmp);
    let [from, to] = INTERVAL.map(|part| differences[(part * (RESAMPLES - 1) as f64).round() as usize]);
    let (of_known, of_unknown) = (middle(known), middle(unknown));
    let share = |difference: f64| 100.0 * difference / of_unknown;

    let mut section = Section::new("Refused logins", vec!["", "ms", "% of an unknown one"]);
    section.note(format!("medians of {} logins each, in turns; the interval is a bootstrap's", scale.logins));
    let mut row = |what: &str, time: f64| {
        section.row(vec![what.into(), Cell::Number(time, 3), Cell::number(share(time))]);
    };
    row("the address is known, the password is not", of_known);
    row("the address is not known", of_unknown);
    row("difference", of_known - of_unknown);
    row("95 % interval of it, from", from);
    row("to", to);
    let worst = share(from).abs().max(share(to).abs()) / 100.0;
    (section, Floor::at_most("the difference of a known and an unknown address, at worst", DIFFERENCE_MAX, worst))
}
