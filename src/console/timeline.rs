//! Draws an account's status and online status over time. Each bar is a period; its width is the logarithm of the
//! duration, so that idle years do not hide busy seconds. Pure.

use maud::{Markup, html};

use super::components::online_status_class;
use crate::audit::parse_time;
use crate::domain::{EventType, OnlineStatus, Status};

/// An event of the timeline.
pub(super) struct TimelineEvent<'e> {
    pub(super) version: u64,
    pub(super) at: &'e str,
    /// `None` for an event that a newer program wrote.
    pub(super) event_type: Option<EventType>,
}

/// A period in which neither status changed.
#[derive(Debug, PartialEq, Eq)]
struct TimelineBar {
    /// The version that began it.
    version: u64,
    status: Status,
    online_status: OnlineStatus,
    /// Its duration in seconds; `None` if its end is not among these events.
    seconds: Option<u64>,
    /// Whether it lasts until now, if its end is unknown.
    is_current: bool,
    x: u64,
    width: u64,
}

/// Widths in drawing units: the shortest bar, the growth per tenfold duration, and a bar without an end.
const BAR_WIDTH_MIN: u64 = 18;
const WIDTH_PER_DECADE: f64 = 14.0;
const OPEN_BAR_WIDTH: u64 = 60;
/// The duration from which a bar has a zigzag.
const FOLD_SECONDS: u64 = 60 * 60;

/// Draws events in order. Each bar is a link to the event that began it. `before` is the account's status before the
/// first event. `is_latest` says that no event follows the last one, so that its bar lasts until now.
pub(super) fn draw_timeline(
    number: &str,
    before: Option<(Status, OnlineStatus)>,
    events: &[TimelineEvent<'_>],
    is_latest: bool,
) -> Markup {
    let bars = build_bars(before, events, is_latest);
    let Some(last) = bars.last() else { return html! {} };
    let width = last.x + last.width;
    html! {
        div.scroll tabindex="0" role="region" aria-label="Timeline" {
            svg.timeline viewBox=(format!("0 0 {width} 54")) width=(width * 2) height="108" role="group"
                aria-label="Status and online status over time" {
                @for bar in &bars {
                    a href=(format!("/accounts/{number}/events/{}", bar.version)) {
                        title { (bar_title(bar)) }
                        rect class=(online_status_class(bar.online_status)) x=(bar.x) y="4" width=(bar.width - 1) height="22" rx="2" {}
                        rect class=(if bar.status == Status::Banned { "bad" } else { "calm" }) x=(bar.x) y="30"
                            width=(bar.width - 1) height="8" rx="2" {}
                        @if bar.seconds.is_some_and(|seconds| seconds >= FOLD_SECONDS) {
                            path.fold d=(format!("M{0} 2l-3 13l6 0l-3 13", bar.x + bar.width / 2)) {}
                        }
                        text x=(bar.x + 1) y="50" { (bar.duration_text()) }
                    }
                }
            }
        }
        p.note {
            span.badge.good { "online" } " " span.badge.coming { "coming" } " " span.badge.calm { "offline, normal" } " "
            span.badge.bad { "banned" }
            " Upper bars: online status; lower bars: status. Time runs from left to right; a bar's width is the \
             logarithm of its duration. "
            "A zigzag marks more than an hour."
        }
    }
}

fn build_bars(
    start: Option<(Status, OnlineStatus)>,
    events: &[TimelineEvent<'_>],
    is_latest: bool,
) -> Vec<TimelineBar> {
    let mut bars: Vec<TimelineBar> = Vec::new();
    let mut begun = 0;
    for event in events {
        let micros = parse_time(event.at).map_or(begun, |at| at.0);
        let before = bars.last().map(|bar| (bar.status, bar.online_status));
        let after = event.event_type.and_then(|event_type| event_type.definition().resulting_status);
        let (status, online_status) = after.or(before).or(start).unwrap_or((Status::Normal, OnlineStatus::Offline));
        if before == Some((status, online_status)) {
            continue;
        }
        if let Some(last) = bars.last_mut() {
            let seconds = u64::try_from(micros - begun).unwrap_or(0) / 1_000_000;
            last.seconds = Some(seconds);
            last.width = BAR_WIDTH_MIN + ((seconds as f64 + 1.0).log10() * WIDTH_PER_DECADE) as u64;
        }
        let x = bars.last().map_or(0, |last| last.x + last.width);
        bars.push(TimelineBar {
            version: event.version,
            status,
            online_status,
            seconds: None,
            is_current: is_latest,
            x,
            width: OPEN_BAR_WIDTH,
        });
        begun = micros;
    }
    bars
}

fn bar_title(bar: &TimelineBar) -> String {
    let duration = match (bar.seconds, bar.is_current) {
        (Some(_), _) => format!("for {}", bar.duration_text()),
        (None, true) => "until now".to_owned(),
        (None, false) => "and beyond the shown events".to_owned(),
    };
    format!("{}, {} {duration}, from version {}", bar.status.name(), bar.online_status.name(), bar.version)
}

impl TimelineBar {
    /// The duration in the largest unit that fits at least once.
    fn duration_text(&self) -> String {
        match self.seconds {
            None if self.is_current => "now".to_owned(),
            None => "…".to_owned(),
            Some(seconds @ 0..60) => format!("{seconds} s"),
            Some(seconds @ 60..3_600) => format!("{} min", seconds / 60),
            Some(seconds @ 3_600..86_400) => format!("{} h", seconds / 3_600),
            Some(seconds) => format!("{} d", seconds / 86_400),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn timeline_events<'e>(events: &[(&'e str, &'e str)]) -> Vec<TimelineEvent<'e>> {
        (1..)
            .zip(events)
            .map(|(version, &(name, at))| TimelineEvent { version, at, event_type: EventType::from_name(name) })
            .collect()
    }

    #[test]
    fn bars_are_as_long_as_the_logarithm_of_their_times() {
        let events = timeline_events(&[
            ("account_imported", "2026-11-25T00:00:00Z"),
            ("online_requested", "2026-11-25T00:00:00Z"),
            ("came_online", "2026-11-25T00:00:09Z"),
            ("content_replaced", "2026-11-25T00:01:00Z"),
            ("banned", "2026-11-26T00:00:08Z"),
        ]);
        let drawn = build_bars(None, &events, true);
        let shown: Vec<_> =
            drawn.iter().map(|bar| (bar.version, bar.online_status, bar.duration_text(), bar.x)).collect();
        let (offline, coming, online) = (OnlineStatus::Offline, OnlineStatus::OnlineComing, OnlineStatus::Online);
        let expected =
            [(1, offline, "0 s", 0), (2, coming, "9 s", 18), (3, online, "23 h", 50), (5, offline, "now", 137)];
        assert_eq!(shown, expected.map(|(version, online, duration, x)| (version, online, duration.to_owned(), x)));
        assert!(build_bars(None, &[], true).is_empty());

        // A part of a history begins with the status before it, and does not end now.
        let online = Some((Status::Normal, OnlineStatus::Online));
        let part = build_bars(online, &events[3..], false);
        let shown: Vec<_> =
            part.iter().map(|bar| (bar.version, bar.status, bar.online_status, bar.duration_text())).collect();
        let expected = [
            (4, Status::Normal, OnlineStatus::Online, "23 h".to_owned()),
            (5, Status::Banned, OnlineStatus::Offline, "…".to_owned()),
        ];
        assert_eq!(shown, expected);
    }
}
