//! Sagas for people to read.

use serde_json::Value;
use std::fmt::Write;

/// One saga a line. `is_all`: there are no more.
pub(crate) fn list(sagas: Option<&Vec<Value>>, is_all: bool) -> String {
    let mut out = format!("{:36}  {:19} {:19} {:>9}  waits for\n", "saga", "type", "status", "age");
    let sagas = sagas.map_or(&[][..], Vec::as_slice);
    for saga in sagas {
        let waits = array(&saga["waiting_for"]).iter().map(waiting).collect::<Vec<_>>().join("; ");
        let fields = [&saga["id"], &saga["type"], &saga["status"]].map(text);
        let age = age(saga["age_s"].as_f64().unwrap_or_default());
        let _ = writeln!(out, "{:36}  {:19} {:19} {age:>9}  {waits}", fields[0], fields[1], fields[2]);
    }
    let more = if is_all { "" } else { "; there are more: --limit" };
    let _ = writeln!(out, "{} sagas{more}", sagas.len());
    out
}

/// All of one saga.
pub(crate) fn saga(saga: &Value) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "{name:13}{value}");
        }
    };
    line("saga", text(&saga["id"]));
    line("type", text(&saga["type"]));
    line("key", text(&saga["key"]));
    line("on behalf of", text(&saga["actor"]));
    line("status", text(&saga["status"]));
    line("reason", text(&saga["reason"]));
    line("failure", text(&saga["failure"]));
    line("began", format!("{} ({} ago)", text(&saga["started_at"]), age(saga["age_s"].as_f64().unwrap_or_default())));
    line("ended", text(&saga["ended_at"]));
    for wait in array(&saga["waiting_for"]) {
        line("waits for", waiting(wait));
    }
    line("remaining", words(&saga["steps_remaining"]));
    line("compensated", words(&saga["steps_compensated"]));
    let _ = writeln!(out, "\n{:20} {:9} {:>8} {:>6}  what came last", "step", "phase", "attempts", "parts");
    for step in array(&saga["steps"]) {
        let last = [&step["error"], &step["progress"]].map(text).into_iter().find(|it| !it.is_empty());
        let _ = writeln!(
            out,
            "{:20} {:9} {:>8} {:>6}  {}",
            text(&step["step"]),
            text(&step["phase"]),
            step["attempts"].to_string(),
            step["parts"].to_string(),
            last.unwrap_or_default()
        );
    }
    let _ = writeln!(out, "\n{:27} {:>12}  event", "time", "position");
    let history = array(&saga["history"]);
    let left_out = saga["history_left_out"].as_u64().unwrap_or_default();
    for (n, happened) in history.iter().enumerate() {
        if left_out > 0 && n == history.len() / 2 {
            let _ = writeln!(out, "({left_out} events are left out)");
        }
        let _ = writeln!(out, "{:27} {:>12}  {}", text(&happened["at"]), text(&happened["position"]), event(happened));
    }
    out
}

/// One parked key a line.
pub(crate) fn parked(answer: &Value) -> String {
    let mut out = String::new();
    for it in array(&answer["parked"]) {
        let [model, key, position, since, error] =
            [&it["model"], &it["key"], &it["position"], &it["since"], &it["error"]].map(text);
        let _ = writeln!(out, "{model:9} {key} at {position} since {since}, {} commits: {error}", it["commits"]);
    }
    let _ = writeln!(out, "{} keys are parked", answer["total"]);
    out
}

fn event(happened: &Value) -> String {
    let mut said = text(&happened["event"]);
    for (prefix, value) in [(" ", &happened["step"]), (": ", &happened["detail"]), (", by ", &happened["by"])] {
        let value = text(value);
        if !value.is_empty() {
            said.push_str(prefix);
            said.push_str(&value);
        }
    }
    if happened["compensation"] == true {
        said.push_str(" (compensation)");
    }
    said
}

fn waiting(waiting: &Value) -> String {
    let undo = if waiting["compensation"] == true { "the compensation of " } else { "" };
    let [step, since, next, error] = ["step", "since", "next_retry", "error"].map(|name| text(&waiting[name]));
    let attempts = match waiting["attempts"].as_u64().unwrap_or_default() {
        0 if next > since => format!(", first tried at {next}"),
        0 => String::new(),
        1 => format!(", 1 attempt, next at {next}"),
        attempts => format!(", {attempts} attempts, next at {next}"),
    };
    let why = if error.is_empty() { String::new() } else { format!(": {error}") };
    format!("{undo}{step} since {since}{attempts}{why}")
}

/// A string as it is, anything else not at all.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn words(value: &Value) -> String {
    array(value).iter().map(text).collect::<Vec<_>>().join(", ")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// `3.1 s`, `12 min`, `5.0 h`
fn age(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_saga_waits_for_is_told_at_a_glance() {
        let saga = json!({
            "id": "s", "type": "USER_DELETION", "status": "RUNNING", "age_s": 7_300.0,
            "waiting_for": [{ "step": "SWEEP", "compensation": false, "since": "then", "attempts": 3,
                               "next_retry": "soon", "error": "no answer" }],
        });
        let shown = list(Some(&vec![saga.clone()]), true);
        assert!(shown.contains("2.0 h  SWEEP since then, 3 attempts, next at soon: no answer"), "{shown}");
        assert!(super::saga(&saga).contains("waits for    SWEEP since then, 3 attempts"));
    }
}
