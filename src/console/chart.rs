//! Charts of events and webhooks per second. Pure.

use std::fmt::Write;

use maud::{Markup, html};

use crate::limits::CHART_POINTS;

/// Drawing units between two points, and from bottom to top.
const POINT_WIDTH: usize = 4;
const HEIGHT: u64 = 60;

/// A chart of one figure over the last seconds: its name, current value and course.
pub(super) fn chart(name: &str, points: &[u64]) -> Markup {
    let (now, most) = (points.last().copied().unwrap_or(0), points.iter().copied().max().unwrap_or(0));
    let words = format!("{name}: {now} now, at most {most} in the last {CHART_POINTS} s");
    let width = (CHART_POINTS - 1) * POINT_WIDTH;
    html! {
        figure.chart {
            figcaption { (name) }
            p.figure { (now) span { " / s" } }
            svg viewBox=(format!("0 0 {width} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(words) {
                path.area d=(svg_path(points, most, true)) {}
                path.line d=(svg_path(points, most, false)) {}
            }
            p.note { "at most " (most) " / s in the last " (CHART_POINTS) " s" }
        }
    }
}

/// The points from left to right, the latest at the right edge. An area is closed along the bottom.
fn svg_path(points: &[u64], most: u64, is_area: bool) -> String {
    let mut path = String::new();
    if points.is_empty() {
        return path;
    }
    let from = (CHART_POINTS.saturating_sub(points.len())) * POINT_WIDTH;
    let top = most.max(1);
    let mut draw = |command: char, x: usize, y: u64| {
        // Writing to a `String` cannot fail.
        let _ = write!(path, "{command}{x} {y}");
    };
    if is_area {
        draw('M', from, HEIGHT);
    }
    for (at, point) in points.iter().enumerate() {
        let command = if at == 0 && !is_area { 'M' } else { 'L' };
        draw(command, from + at * POINT_WIDTH, HEIGHT - point * (HEIGHT - 2) / top);
    }
    if is_area {
        draw('L', from + (points.len() - 1) * POINT_WIDTH, HEIGHT);
        path.push('Z');
    }
    path
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
