//! The plots of the page: bars by day, as SVG without fonts of the machine.
//!
//! Takes a number for each day, gives the elements of an `svg` and a description in words. Colours are attributes, which
//! the style of the page replaces in the dark.

use std::error::Error;
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, IntoFont, IntoTextStyle, RGBColor, Rectangle, SVGBackend, TRANSPARENT,
};

use crate::failure::{Failure, Kind, Result};
use crate::quantity;
use crate::report::{bytes, duration};

/// Pixels: as wide as a phone shows without shrinking the letters.
pub const SIZE: (u32, u32) = (340, 170);
/// Steps of the horizontal axis between two days, and from a day to the edge of its bar.
const DAY: i32 = 10;
const HALF: i32 = 4;
/// Room for the numbers at the left, and for the dates below.
const LEFT: u32 = 62;
const BELOW: u32 = 22;
const LETTERS: (&str, u32) = ("sans-serif", 14);
/// The colours in the light; `templates/report.html` names them.
const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
const GRID: RGBColor = RGBColor(0xC8, 0xCE, 0xD6);
const BAR: RGBColor = RGBColor(0x0B, 0x5C, 0xAD);

/// The unit of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotUnit {
    Number,
    Bytes,
    Millis,
}

impl PlotUnit {
    /// A value in words.
    pub fn show(self, value: u64) -> String {
        match self {
            Self::Number => quantity::number(value),
            Self::Bytes => bytes(value),
            Self::Millis => duration(Duration::from_millis(value)),
        }
    }

    /// A value of the axis, in few letters.
    fn label(self, value: u64) -> String {
        match self {
            Self::Number if value >= 10_000_000 => format!("{}M", quantity::number(value / 1_000_000)),
            Self::Number if value >= 10_000 => format!("{}k", quantity::number(value / 1_000)),
            Self::Number | Self::Bytes | Self::Millis => self.show(value),
        }
    }
}

/// A plot in the page.
#[derive(Clone, Debug)]
pub struct Plot {
    pub title: &'static str,
    /// The plot in words.
    pub description: String,
    /// The elements of the `svg`.
    pub elements: String,
}

/// Draws a bar for each day from the first on; `is_sum` if values of several days add up.
pub fn plot(title: &'static str, unit: PlotUnit, is_sum: bool, first: Date, values: &[u64]) -> Result<Plot> {
    let elements =
        draw(unit, first, values).map_err(|error| Failure::new(Kind::Bug, "draw a plot").because(error.to_string()))?;
    Ok(Plot { title, description: describe(unit, is_sum, first, values), elements })
}

fn describe(unit: PlotUnit, is_sum: bool, first: Date, values: &[u64]) -> String {
    let date = |place: usize| nth(first, i32::try_from(place).unwrap_or(i32::MAX));
    let last = values.len().saturating_sub(1);
    let most = values.iter().enumerate().max_by_key(|(_, value)| **value).unwrap_or((0, &0));
    if *most.1 == 0 {
        return format!("None from {first} to {}.", date(last));
    }
    let begin = format!("From {first} to {}", date(last));
    let most = format!("at most {} on {}", unit.show(*most.1), date(most.0));
    if is_sum {
        let sum = values.iter().copied().fold(0, u64::saturating_add);
        format!("{begin}: {} in all, {most}.", unit.show(sum))
    } else {
        format!("{begin}: {} at the end, {most}.", unit.show(values.last().copied().unwrap_or_default()))
    }
}

/// The day so many days later.
pub fn nth(first: Date, days: i32) -> Date {
    first.checked_add(i64::from(days).days()).unwrap_or(first)
}

fn draw(unit: PlotUnit, first: Date, values: &[u64]) -> std::result::Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let days = i32::try_from(values.len())?;
    let most = values.iter().copied().max().unwrap_or(0);
    let top = most.saturating_add(most / 20).max(1);
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(4)
            .margin_right(14)
            .x_label_area_size(BELOW)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(-DAY / 2..days * DAY - DAY / 2, 0..top)?;
        let date = |step: &i32| {
            let on_day = step.rem_euclid(DAY) == 0 && *step >= 0 && step / DAY < days;
            if on_day { nth(first, step / DAY).strftime("%d %b").to_string() } else { String::new() }
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .label_style(LETTERS.into_font().into_text_style(&area).color(&INK))
            .x_labels(5)
            .y_labels(4)
            .x_label_formatter(&date)
            .y_label_formatter(&|value| unit.label(*value))
            .draw()?;
        let bars = (0..days).map(|day| day * DAY).zip(values);
        let bars = bars.filter(|(_, value)| **value > 0);
        let bar = |(at, value): (i32, &u64)| Rectangle::new([(at - HALF, 0), (at + HALF, *value)], BAR.filled());
        chart.draw_series(bars.map(bar))?;
        area.present()?;
    }
    let start = svg.find("<svg").and_then(|at| Some(at + svg[at..].find('>')? + 1)).ok_or("there is no `svg`")?;
    let end = svg.rfind("</svg>").ok_or("the `svg` has no end")?;
    Ok(svg[start..end].to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_plot_has_a_bar_for_each_day_with_a_value_and_says_the_same_in_words() {
        let drawn = plot("Requests", PlotUnit::Number, true, date(2026, 11, 1), &[5, 0, 88_629, 1]).expect("it draws");
        assert_eq!(drawn.elements.matches("fill=\"#0B5CAD\"").count(), 3, "{}", drawn.elements);
        assert!(drawn.elements.contains("03 Nov") && drawn.elements.contains("50k"), "{}", drawn.elements);
        assert_eq!(drawn.description, "From 2026-11-01 to 2026-11-04: 88,635 in all, at most 88,629 on 2026-11-03.");
        for outer in ["<svg", "http", "style="] {
            assert!(!drawn.elements.contains(outer), "{}", drawn.elements);
        }
    }

    #[test]
    fn plots_of_no_values_and_of_the_greatest_can_be_drawn() {
        for unit in [PlotUnit::Number, PlotUnit::Bytes, PlotUnit::Millis] {
            for values in [&[0][..], &[u64::MAX; 400], &[0; 7]] {
                let drawn = plot("All", unit, false, date(2026, 11, 1), values).expect("it draws");
                assert_eq!(drawn.description.starts_with("None"), values.iter().all(|value| *value == 0));
            }
        }
    }
}
