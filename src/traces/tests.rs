//! Headers that callers may send.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::TraceContext;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn parse_context(headers: &[(&'static str, &str)]) -> Option<TraceContext> {
    let header =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter().map(header) {
        map.append(name, value);
    }
    TraceContext::from_headers(&map)
}

#[test]
fn parents() {
    let context = parse_context(&[("traceparent", PARENT)]).unwrap();
    assert_eq!((context.trace, context.span), (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7));
    assert_eq!((context.to_traceparent().as_str(), context.is_sampled, &*context.state), (PARENT, true, ""));
    let other_flags = parse_context(&[("traceparent", &PARENT.replace("-01", "-02"))]).unwrap();
    assert_eq!(other_flags.to_traceparent(), PARENT.replace("-01", "-00"), "unknown flags are not passed on");
    let later = PARENT.replacen("00", "cc", 1) + "-what-comes-later";
    assert_eq!(parse_context(&[("traceparent", &later)]).unwrap().to_traceparent(), PARENT);
    for wrong in [
        "",
        "00",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert_eq!(parse_context(&[("traceparent", wrong)]), None, "{wrong:?}");
    }
    assert_eq!(parse_context(&[("traceparent", PARENT), ("traceparent", PARENT)]), None, "two parents are ignored");
}

#[test]
fn states() {
    let state = |states: &[&str]| {
        let states = states.iter().map(|state| ("tracestate", *state));
        parse_context(&[("traceparent", PARENT)].into_iter().chain(states).collect::<Vec<_>>())
            .unwrap()
            .state
            .to_string()
    };
    assert_eq!(state(&["rojo=00f067aa0ba902b7 , t61rcWkgMzE=", ""]), "", "a key with a capital letter is invalid");
    assert_eq!(
        state(&["rojo=00f067aa0ba902b7 ,\tfw529a3039@dt=FfD+/:", "congo=t61"]),
        "rojo=00f067aa0ba902b7,fw529a3039@dt=FfD+/:,congo=t61"
    );
    let many = |count: usize| (0..count).map(|member| format!("k{member}=v")).collect::<Vec<_>>().join(",");
    assert_eq!((state(&[&many(32)]), state(&[&many(33)])), (many(32), String::new()));
    let long = |length: usize| format!("k={}", "v".repeat(length - 2));
    assert_eq!((state(&[&long(512)]), state(&[&long(513)])), (long(512), String::new()));
    for wrong in ["a", "=b", "a=", "a=b=c", "a=1,a=2", "\u{e9}=b"] {
        assert_eq!(state(&[wrong]), "", "{wrong:?}");
    }
}
