//! The header in which whoever asks says to which trace the request belongs (W3C Trace Context, `traceparent`).

use http::{HeaderMap, HeaderName};
use traces::SpanId;
use uuid::Uuid;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LENGTH: usize = 55;

/// The trace and the span of whoever asks; `None` if there is no such header, or none that can be read. Whether they follow
/// the trace themselves does not matter: that is decided by the trace's id.
pub(crate) fn read(headers: &HeaderMap) -> Option<(Uuid, SpanId)> {
    parse(headers.get(TRACEPARENT)?.as_bytes())
}

fn parse(text: &[u8]) -> Option<(Uuid, SpanId)> {
    let (head, rest) = text.split_at_checked(LENGTH)?;
    let version = hex::<1>(&head[..2])?[0];
    // Later versions may say more behind it.
    let fits = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.is_empty() || rest[0] == b'-',
    };
    if !fits || [2, 35, 52].iter().any(|at| head[*at] != b'-') {
        return None;
    }
    hex::<1>(&head[53..])?;
    let trace = Uuid::from_bytes(hex(&head[3..35])?);
    let span = SpanId::from_bytes(hex(&head[36..52])?)?;
    (!trace.is_nil()).then_some((trace, span))
}

/// Bytes written as lower-case digits.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (text.len() == 2 * N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_trace_and_the_span_of_whoever_asks_are_read() {
        let (trace, span) = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(trace.simple().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.to_string(), "00f067aa0ba902b7");
        let later = format!("{}-more", GOOD.replacen("00", "cc", 1));
        assert_eq!(parse(later.as_bytes()), Some((trace, span)));
    }

    #[test]
    fn what_is_no_such_header_is_ignored() {
        let more = format!("{GOOD}-more");
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &more,
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
