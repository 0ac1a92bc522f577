//! Plots as SVG: points with labels and intervals, curves, and bars, in plain shapes that every viewer shows.
//!
//! Shapes have their colours as attributes, for files by themselves, and classes, by which a page's style sheet gives
//! them its own. Nothing is told apart by colour alone.

use std::fmt::Write as _;

/// A plot of points.
pub struct Plot<'a> {
    /// Its title.
    pub title: &'a str,
    /// What is to the right.
    pub x: &'a str,
    /// What is up.
    pub y: &'a str,
    /// The points.
    pub points: Vec<Point>,
}

/// A point, and the interval of its height.
pub struct Point {
    /// What is written next to it.
    pub label: String,
    /// Its place to the right.
    pub x: f64,
    /// Its height.
    pub y: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Whether it is filled, and on the line through all such points.
    pub front: bool,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
/// Of the plot itself: left, top, right, bottom.
const FRAME: [f64; 4] = [70.0, 40.0, 620.0, 420.0];
/// From one figure to a larger one by more than this, the axis is logarithmic.
const WIDE: f64 = 12.0;

/// An axis: which figures are where.
struct Axis {
    from: f64,
    to: f64,
    log: bool,
    /// The ends in the picture.
    ends: (f64, f64),
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis that shows these figures; `may_log`, on a logarithmic scale where they are far apart.
    fn of(figures: impl Iterator<Item = f64> + Clone, may_log: bool, ends: (f64, f64)) -> Self {
        let figures = figures.filter(|figure| figure.is_finite());
        let (mut from, mut to) = (figures.clone().fold(f64::INFINITY, f64::min), figures.fold(0.0, f64::max));
        from = from.min(to);
        let log = may_log && from > 0.0 && to / from > WIDE;
        let ticks: Vec<f64> = if log {
            let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
            let ticks = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)));
            (from, to) = (from / 1.3, to * 1.3);
            ticks.filter(|tick| (from..=to).contains(tick)).collect()
        } else {
            from = from.min(0.0);
            let rough = ((to - from) / 5.0).max(1e-9);
            let decade = 10_f64.powf(rough.log10().floor());
            let step =
                [1.0, 2.0, 5.0, 10.0].map(|digit| digit * decade).into_iter().find(|step| *step >= rough);
            let step = step.unwrap_or(rough);
            (from, to) = ((from / step).floor() * step, (to / step).ceil().max(1.0) * step);
            (0..=((to - from) / step).round() as u32).map(|index| from + f64::from(index) * step).collect()
        };
        Self { from, to, log, ends, ticks }
    }

    fn at(&self, figure: f64) -> f64 {
        let share = match self.log {
            true => (figure / self.from).ln() / (self.to / self.from).ln(),
            false => (figure - self.from) / (self.to - self.from),
        };
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }
}

/// A figure in few digits.
fn figure(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.to_owned() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What all plots have: paper, title, axes and grid.
fn frame(title: &str, [x_name, y_name]: [&str; 2], x: &Axis, y: &Axis) -> String {
    let [left, top, right, _] = FRAME;
    let bottom = y.ends.0;
    let height = bottom + HEIGHT - FRAME[3];
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" class=\"plot\" role=\"img\" aria-label=\"{}\">\n<rect class=\"paper\" width=\"{WIDTH}\" \
         height=\"{height}\" fill=\"white\"/>\n",
        escaped(title)
    );
    text(&mut svg, (left, top - 18.0), "start", " font-weight=\"bold\"", title);
    text(&mut svg, ((left + right) / 2.0, height - 18.0), "middle", "", x_name);
    let middle = (top + bottom) / 2.0;
    text(&mut svg, (18.0, middle), "middle", &format!(" transform=\"rotate(-90 18 {middle})\""), y_name);
    // Where they would run into each other, some are left out.
    let mut free = f64::NEG_INFINITY;
    for tick in &x.ticks {
        let (at, label) = (x.at(*tick), figure(*tick));
        let half = 5.0 * label.len() as f64;
        if at - half >= free {
            text(&mut svg, (at, bottom + 18.0), "middle", "", &label);
            free = at + half;
        }
    }
    for tick in &y.ticks {
        text(&mut svg, (left - 8.0, y.at(*tick) + 4.0), "end", "", &figure(*tick));
    }
    for tick in &y.ticks {
        let height = y.at(*tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{left}\" y1=\"{height:.1}\" x2=\"{right}\" y2=\"{height:.1}\" stroke=\"#ddd\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<rect class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#888\"/>",
        right - left,
        bottom - top
    );
    svg
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, more: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{}</text>",
        escaped(text)
    );
}

/// Labels at about the same place are set below each other.
#[derive(Default)]
struct Labels(Vec<(f64, f64)>);

impl Labels {
    fn place(&mut self, svg: &mut String, (x, mut y): (f64, f64), label: &str) {
        while self.0.iter().any(|(other, height)| (other - x).abs() < 90.0 && (height - y).abs() < 12.0) {
            y += 12.0;
        }
        self.0.push((x, y));
        text(svg, (x, y), "start", "", label);
    }
}

impl Plot<'_> {
    /// The picture.
    pub fn svg(&self) -> String {
        let [left, top, right, bottom] = FRAME;
        let x = Axis::of(self.points.iter().map(|point| point.x), true, (left, right));
        let heights = self.points.iter().flat_map(|point| [point.low, point.y, point.high]);
        let y = Axis::of(heights, false, (bottom, top));
        let mut svg = frame(self.title, [self.x, self.y], &x, &y);
        let mut labels = Labels::default();
        for point in &self.points {
            labels.place(&mut svg, (x.at(point.x) + 9.0, y.at(point.y) + 4.0), &point.label);
        }
        let mut front: Vec<_> = self.points.iter().filter(|point| point.front).collect();
        front.sort_by(|a, b| a.x.total_cmp(&b.x));
        let corners: Vec<_> =
            front.iter().map(|point| format!("{:.1},{:.1}", x.at(point.x), y.at(point.y))).collect();
        let _ = writeln!(
            svg,
            "<polyline class=\"line\" points=\"{}\" fill=\"none\" stroke=\"#2266aa\" stroke-dasharray=\"4 3\"/>",
            corners.join(" ")
        );
        for point in &self.points {
            mark(
                &mut svg,
                x.at(point.x),
                [point.low, point.y, point.high].map(|figure| y.at(figure)),
                point.front,
            );
        }
        svg + "</svg>\n"
    }
}

/// A point and its interval.
fn mark(svg: &mut String, at: f64, [low, height, high]: [f64; 3], filled: bool) {
    let (fill, class) = if filled { ("#2266aa", "dot") } else { ("white", "dot open") };
    let _ = writeln!(
        svg,
        "<line class=\"interval\" x1=\"{at:.1}\" y1=\"{low:.1}\" x2=\"{at:.1}\" y2=\"{high:.1}\" stroke=\"#2266aa\"/>\n\
         <circle class=\"{class}\" cx=\"{at:.1}\" cy=\"{height:.1}\" r=\"4\" fill=\"{fill}\" stroke=\"#2266aa\"/>"
    );
}

/// Curves over the same axis, told apart by their dashes and labels.
pub struct Curves<'a> {
    /// Its title.
    pub title: &'a str,
    /// What is to the right.
    pub x: &'a str,
    /// What is up.
    pub y: &'a str,
    /// Label and points of each.
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
    /// What the axis upwards must show.
    pub y_range: Option<(f64, f64)>,
    /// Whether it is low: an illustration.
    pub low: bool,
}

/// How the first, second and further curves are drawn.
const DASHES: [&str; 5] = ["", "7 3", "2 3", "9 3 2 3", "1 5"];

impl Curves<'_> {
    /// The picture.
    pub fn svg(&self) -> String {
        let [left, top, right, high] = FRAME;
        let bottom = if self.low { 190.0 } else { high };
        let points = || self.curves.iter().flat_map(|(_, points)| points);
        let x = Axis::of(points().map(|point| point.0), false, (left, right));
        let range = self.y_range.into_iter().flat_map(|(low, high)| [low, high]);
        let y = Axis::of(points().map(|point| point.1).chain(range), false, (bottom, top));
        let mut svg = frame(self.title, [self.x, self.y], &x, &y);
        let mut labels = Labels::default();
        for ((label, points), dashes) in self.curves.iter().zip(DASHES.iter().cycle()) {
            let mut finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
            let corners: Vec<_> =
                finite.clone().map(|point| format!("{:.1},{:.1}", x.at(point.0), y.at(point.1))).collect();
            let _ = writeln!(
                svg,
                "<polyline class=\"line\" points=\"{}\" fill=\"none\" stroke=\"#2266aa\" stroke-width=\"1.5\" \
                 stroke-dasharray=\"{dashes}\"/>",
                corners.join(" ")
            );
            if let Some(last) = finite.next_back() {
                labels.place(&mut svg, (x.at(last.0) + 9.0, y.at(last.1) + 4.0), label);
            }
        }
        svg + "</svg>\n"
    }
}

/// Bars to the right, one below the other, each with its interval.
pub struct Bars<'a> {
    /// Its title.
    pub title: &'a str,
    /// Label, length, and the interval of each; lengths are from 0 to 1.
    pub bars: Vec<(String, [f64; 3])>,
}

impl Bars<'_> {
    /// The picture.
    pub fn svg(&self) -> String {
        let (left, right, line) = (160.0, 670.0, 28.0);
        let height = 60.0 + line * self.bars.len() as f64;
        let at = |share: f64| left + share.clamp(0.0, 1.0) * (right - left);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\" class=\"plot\" role=\"img\" aria-label=\"{}\">\n<rect class=\"paper\" \
             width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n",
            escaped(self.title)
        );
        text(&mut svg, (0.0, 20.0), "start", " font-weight=\"bold\"", self.title);
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let x = at(share);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x}\" y1=\"34\" x2=\"{x}\" y2=\"{}\" stroke=\"#ddd\"/>",
                height - 22.0
            );
            text(&mut svg, (x, height - 6.0), "middle", "", &format!("{:.0} %", 100.0 * share));
        }
        for (index, (label, [low, length, high])) in self.bars.iter().enumerate() {
            let middle = 34.0 + line * (index as f64 + 0.5);
            text(&mut svg, (left - 10.0, middle + 4.0), "end", "", label);
            let [low, end, high] = [*low, *length, *high].map(at);
            let _ = writeln!(
                svg,
                "<rect class=\"fill\" x=\"{left}\" y=\"{:.1}\" width=\"{:.1}\" height=\"10\" fill=\"#9bb8d6\"/>\n\
                 <path class=\"interval\" d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {:.1}v8M{high:.1} {:.1}v8\" \
                 fill=\"none\" stroke=\"#2266aa\"/>",
                middle - 5.0,
                end - left,
                middle - 4.0,
                middle - 4.0
            );
            text(&mut svg, (right + 12.0, middle + 4.0), "start", "", &format!("{:.1} %", 100.0 * length));
        }
        svg + "</svg>\n"
    }
}

/// How often something was true that was said to be as likely as this: a bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// The mean of what was said.
    pub said: f64,
    /// How often it was true, and the interval.
    pub share: [f64; 3],
    /// How many times it was said.
    pub count: u64,
}

/// A reliability diagram: where probabilities mean what they say, the points are on the diagonal.
pub fn reliability(title: &str, [x_name, y_name]: [&str; 2], bins: &[Bin]) -> String {
    let [left, top, right, bottom] = FRAME;
    let x = Axis::of([0.0, 1.0].into_iter(), false, (left, right));
    let y = Axis::of([0.0, 1.0].into_iter(), false, (bottom, top));
    let mut svg = frame(title, [x_name, y_name], &x, &y);
    let _ = writeln!(
        svg,
        "<line class=\"line\" x1=\"{left}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{top}\" stroke=\"#888\" \
         stroke-dasharray=\"4 3\"/>"
    );
    for bin in bins {
        let [low, share, high] = bin.share.map(|share| y.at(share));
        mark(&mut svg, x.at(bin.said), [low, share, high], true);
        text(&mut svg, (x.at(bin.said) + 8.0, share + 4.0), "start", "", &format!("n = {}", bin.count));
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_every_point_with_its_label() {
        let point = |label: &str, x, y, front| Point {
            label: label.into(),
            x,
            y,
            low: y - 0.1,
            high: y + 0.1,
            front,
        };
        let points = vec![
            point("a<b", 1000.0, 0.6, true),
            point("pnlc", 40_000.0, 0.8, true),
            point("c", 40_000.0, 0.8, false),
        ];
        let svg = Plot { title: "t", x: "tokens", y: "score", points }.svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains(">a&lt;b</text>") && svg.contains(">10000</text>"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        // Nothing to show is an empty frame.
        let svg = Plot { title: "t", x: "x", y: "y", points: Vec::new() }.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn curves_bars_and_reliability_show_what_they_are_given() {
        let curves =
            vec![("a&b".to_owned(), vec![(0.0, 0.1), (1.0, f64::NAN), (2.0, 0.3)]), ("c".into(), vec![])];
        let svg = Curves { title: "t", x: "x", y: "y", curves, y_range: Some((0.0, 1.0)), low: true }.svg();
        assert!(svg.contains(">a&amp;b</text>") && !svg.contains("NaN"), "{svg}");
        let svg = Bars { title: "t", bars: vec![("pnlc".into(), [0.2, 0.5, 2.0])] }.svg();
        assert!(svg.contains(">50.0 %</text>"), "{svg}");
        let svg = reliability("t", ["x", "y"], &[Bin { said: 0.3, share: [0.1, 0.2, 0.4], count: 7 }]);
        assert!(svg.contains(">n = 7</text>"), "{svg}");
    }
}
