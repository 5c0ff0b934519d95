//! A chart as an SVG file.

use std::path::Path;

use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;

use super::Line;
use super::charts::Chart;
use super::table::{axis_text, size_text};

/// Width and height in pixels.
const SIZE: (u32, u32) = (720, 400);
/// Colours that can be told apart by those who see few (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
/// What the machine itself takes.
const BARE: RGBColor = RGBColor(120, 120, 120);
const TEXT: (&str, u32) = ("sans-serif", 14);

/// Draws `lines` over the sizes, which are powers of two: a logarithmic axis.
pub fn draw(chart: &Chart, lines: &[Line], file: &Path) -> crate::Outcome {
    let times = || lines.iter().flat_map(|line| line.points.iter().map(|(_, time)| *time));
    let (least, largest) = (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max));
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (first, last) = (chart.sizes[0] as f64, chart.sizes[chart.sizes.len() - 1] as f64);
    let sizes = (first..last).log_scale().base(2.0).with_key_points(chart.sizes.iter().map(|size| *size as f64).collect());
    let mut builder = ChartBuilder::on(&area);
    builder
        .caption(format!("{}, ns", chart.title), ("sans-serif", 18))
        .margin(12)
        .margin_right(32)
        .x_label_area_size(40)
        .y_label_area_size(72);
    let size = |size: &f64| size_text(*size as u64, chart.what);
    let time = |time: &f64| axis_text(*time);
    if chart.grows {
        let mut context = builder.build_cartesian_2d(sizes, (least * 0.8..largest * 2.0).log_scale())?;
        let mut mesh = context.configure_mesh();
        mesh.x_label_formatter(&size).y_label_formatter(&time);
        mesh.x_desc(chart.what).y_desc("ns").y_labels(6).label_style(TEXT).axis_desc_style(TEXT).max_light_lines(0).draw()?;
        series(&mut context, lines)?;
    } else {
        let mut context = builder.build_cartesian_2d(sizes, 0.0..largest * (1.2 + 0.08 * lines.len() as f64))?;
        let mut mesh = context.configure_mesh();
        mesh.x_label_formatter(&size).y_label_formatter(&time);
        mesh.x_desc(chart.what).y_desc("ns").label_style(TEXT).axis_desc_style(TEXT).max_light_lines(0).draw()?;
        series(&mut context, lines)?;
    }
    area.present()?;
    Ok(())
}

/// The lines with their points, and what each is.
fn series<'a, X, Y>(context: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>, lines: &[Line]) -> crate::Outcome
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    for (line, colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        let colour = if line.series.starts_with("bare") { BARE } else { colour };
        let points = line.points.iter().map(|&(size, time)| (size as f64, time));
        let drawn = context.draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?;
        drawn.label(line.series).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    let mut labels = context.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperLeft).label_font(TEXT).background_style(WHITE.mix(0.8)).draw()?;
    Ok(())
}
