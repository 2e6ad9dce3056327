//! Charts of events and webhooks per second. Pure.

use maud::{Markup, html};

use crate::limits::CHART_POINTS;

/// Drawing units between two points, and from bottom to top.
const POINT_WIDTH: usize = 4;
const HEIGHT: u64 = 60;

/// A chart of one figure over the last seconds: its name, current value and course.
pub(super) fn chart(name: &str, points: &[u64]) -> Markup {
    let (now, most) = (points.last().copied().unwrap_or(0), points.iter().copied().max().unwrap_or(0));
    let label = format!("{name}: {now} now, at most {most} in the last {CHART_POINTS} s");
    let width = (CHART_POINTS - 1) * POINT_WIDTH;
    html! {
        figure.chart {
            figcaption { (name) }
            p.figure { (now) span { " / s" } }
            svg viewBox=(format!("0 0 {width} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(label) {
                path.area d=(svg_path(points, most, true)) {}
                path.line d=(svg_path(points, most, false)) {}
            }
            p.note { "at most " (most) " / s in the last " (CHART_POINTS) " s" }
        }
    }
}

/// The points from left to right, the latest at the right edge. An area is closed along the bottom.
fn svg_path(points: &[u64], most: u64, is_area: bool) -> String {
    if points.is_empty() {
        return String::new();
    }
    let (from, end) = (CHART_POINTS.saturating_sub(points.len()), CHART_POINTS.max(points.len()) - 1);
    let (left, right, top) = (from * POINT_WIDTH, end * POINT_WIDTH, most.max(1));
    let line: Vec<String> = (from..)
        .zip(points)
        .map(|(at, point)| format!("{} {}", at * POINT_WIDTH, HEIGHT - point * (HEIGHT - 2) / top))
        .collect();
    let line = line.join("L");
    if is_area { format!("M{left} {HEIGHT}L{line}L{right} {HEIGHT}Z") } else { format!("M{line}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_go_from_the_bottom_to_the_top_and_end_at_the_right() {
        let (left, right) = ((CHART_POINTS - 2) * POINT_WIDTH, (CHART_POINTS - 1) * POINT_WIDTH);
        assert_eq!(svg_path(&[0, 10], 10, false), format!("M{left} 60L{right} 2"));
        assert_eq!(svg_path(&[0, 10], 10, true), format!("M{left} 60L{left} 60L{right} 2L{right} 60Z"));
        assert_eq!(svg_path(&[], 0, true), "");
        assert_eq!(svg_path(&[u64::MAX / 100], u64::MAX / 100, false), format!("M{right} 2"));
    }
}
