//! A line chart as SVG text. Colours are of the page's style sheet; shapes differ too, for those who
//! see no colours and for print. What is drawn is decided in `page/charts.rs`.

use super::escape;
use super::scale::Scale;

/// A chart with its lines.
#[derive(Debug)]
pub struct Chart {
    /// Unique on the page.
    pub id: &'static str,
    pub title: String,
    pub x: Scale,
    pub x_label: String,
    pub y: Scale,
    pub y_label: String,
    pub lines: Vec<Line>,
    /// From corner to corner: where what is achieved is what is offered.
    pub has_diagonal: bool,
}

#[derive(Debug)]
pub struct Line {
    pub name: String,
    /// Which colour and shape, from 0.
    pub look: usize,
    pub dots: Vec<Dot>,
    pub has_markers: bool,
    /// Where a dashed line stands up.
    pub upright: Option<f64>,
}

#[derive(Debug)]
pub struct Dot {
    pub x: f64,
    pub y: f64,
    /// Ends of the whisker.
    pub low: f64,
    pub high: f64,
    /// Hollow when not.
    pub is_valid: bool,
    /// Shown by the browser when pointed at.
    pub told: String,
}

impl Chart {
    pub fn svg(&self) -> String {
        let title = escape(&self.title);
        let clip = format!(
            "<clipPath id=\"{}-clip\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/>\
             </clipPath>",
            self.id,
            RIGHT - LEFT,
            BOTTOM - TOP
        );
        let lines: String = self.lines.iter().map(|line| self.line(line)).collect();
        let diagonal = if self.has_diagonal { self.diagonal() } else { String::new() };
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\" \
             xmlns=\"http://www.w3.org/2000/svg\">\n{clip}\n{}{}\
             <g clip-path=\"url(#{}-clip)\">\n{diagonal}{lines}</g>\n{}</svg>\n",
            self.x_axis(),
            self.y_axis(),
            self.id,
            self.legend(),
        )
    }

    fn at_x(&self, figure: f64) -> f64 {
        LEFT + self.x.part(figure) * (RIGHT - LEFT)
    }

    fn at_y(&self, figure: f64) -> f64 {
        BOTTOM - self.y.part(figure) * (BOTTOM - TOP)
    }

    fn x_axis(&self) -> String {
        let ticks = self.x.ticks().into_iter().map(|tick| {
            let (x, label) = (self.at_x(tick), self.x.label(tick));
            format!(
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{BOTTOM}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n",
                BOTTOM + 18.0
            )
        });
        let label = format!(
            "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            f64::midpoint(LEFT, RIGHT),
            BOTTOM + 42.0,
            escape(&self.x_label)
        );
        ticks.chain([label]).collect()
    }

    fn y_axis(&self) -> String {
        let ticks = self.y.ticks().into_iter().map(|tick| {
            let (y, label) = (self.at_y(tick), self.y.label(tick));
            format!(
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
                LEFT - 8.0,
                y + 4.0
            )
        });
        let middle = f64::midpoint(TOP, BOTTOM);
        let label = format!(
            "<text class=\"label\" x=\"16\" y=\"{middle}\" text-anchor=\"middle\" \
             transform=\"rotate(-90 16 {middle})\">{}</text>\n",
            escape(&self.y_label)
        );
        ticks.chain([label]).collect()
    }

    fn diagonal(&self) -> String {
        let to = self.x.high.min(self.y.high);
        let (x, y) = (self.at_x(to), self.at_y(to));
        let (x0, y0) = (self.at_x(self.x.low), self.at_y(self.y.low));
        format!(
            "<line class=\"diagonal\" x1=\"{x0:.1}\" y1=\"{y0:.1}\" x2=\"{x:.1}\" y2=\"{y:.1}\"/>\n"
        )
    }

    fn line(&self, line: &Line) -> String {
        let look = line.look;
        let path: Vec<String> = line
            .dots
            .iter()
            .map(|dot| format!("{:.1},{:.1}", self.at_x(dot.x), self.at_y(dot.y)))
            .collect();
        let upright = line.upright.map_or_else(String::new, |at| {
            let x = self.at_x(at);
            format!(
                "<line class=\"knee of{look}\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" \
                 y2=\"{BOTTOM}\"><title>{}: knee</title></line>\n",
                escape(&line.name)
            )
        });
        let dots: String = if line.has_markers {
            line.dots.iter().map(|dot| self.dot(dot, look)).collect()
        } else {
            String::new()
        };
        format!(
            "{upright}<polyline class=\"line of{look}\" points=\"{}\"/>\n{dots}",
            path.join(" ")
        )
    }

    fn dot(&self, dot: &Dot, look: usize) -> String {
        let (x, y) = (self.at_x(dot.x), self.at_y(dot.y));
        let (low, high) = (self.at_y(dot.low), self.at_y(dot.high));
        let validity = if dot.is_valid { "valid" } else { "invalid" };
        format!(
            "<g><title>{}</title><line class=\"whisker of{look}\" x1=\"{x:.1}\" y1=\"{low:.1}\" \
             x2=\"{x:.1}\" y2=\"{high:.1}\"/><path class=\"dot of{look} {validity}\" d=\"{}\"/>\
             </g>\n",
            escape(&dot.told),
            shape(look, x, y)
        )
    }

    fn legend(&self) -> String {
        let entry = |(place, line): (f64, &Line)| {
            let (x, look) = (LEFT + place * LEGEND_STEP, line.look);
            let marker =
                if line.has_markers { shape(look, x + 14.0, LEGEND_Y) } else { "M0 0".into() };
            format!(
                "<line class=\"line of{look}\" x1=\"{x}\" y1=\"{LEGEND_Y}\" x2=\"{}\" \
                 y2=\"{LEGEND_Y}\"/><path class=\"dot of{look} valid\" d=\"{marker}\"/>\
                 <text class=\"key\" x=\"{}\" y=\"{}\">{}</text>\n",
                x + 28.0,
                x + 35.0,
                LEGEND_Y + 4.5,
                escape(&line.name)
            )
        };
        let places = std::iter::successors(Some(0.0), |place| Some(place + 1.0));
        places.zip(&self.lines).map(entry).collect()
    }
}

/// A circle, a square, a triangle or a diamond around a place.
fn shape(look: usize, x: f64, y: f64) -> String {
    match look % 4 {
        0 => format!("M{:.1} {y:.1}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z", x - 4.5),
        1 => format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, y - 4.0),
        2 => format!("M{x:.1} {:.1}l5 8.5h-10z", y - 5.5),
        _ => format!("M{x:.1} {:.1}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", y - 5.5),
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 38.0;
const BOTTOM: f64 = 346.0;
const LEGEND_Y: f64 = 18.0;
const LEGEND_STEP: f64 = 120.0;
