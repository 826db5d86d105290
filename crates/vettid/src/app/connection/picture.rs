//! An invitation as a picture that a camera reads: in the terminal, as PNG, as SVG. Whoever has the picture can answer the
//! invitation, so a file of it is the member's alone.

use super::super::private_file;
use crate::failure::{Exit, Failure};
use qrcode::render::svg;
use qrcode::render::unicode::Dense1x2;
use qrcode::{Color, EcLevel, QrCode};
use std::path::Path;

/// Light modules around the code, as its standard asks for.
const MARGIN: usize = 4;
/// Pixels of one module in a PNG.
const SCALE: usize = 8;

/// The code of a link.
pub(super) fn code(link: &str) -> Result<QrCode, Failure> {
    QrCode::with_error_correction_level(link, EcLevel::L).map_err(|error| Failure::new(Exit::Other, error))
}

/// As characters: dark on light in most terminals, as scanners want it.
pub(super) fn drawing(code: &QrCode) -> String {
    code.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build()
}

/// Writes the code as a PNG.
pub(super) fn write_png(code: &QrCode, path: &Path) -> Result<(), Failure> {
    private_file::write(path, &png(code).map_err(|error| Failure::new(Exit::Other, error))?)
}

/// Writes the code as an SVG.
pub(super) fn write_svg(code: &QrCode, path: &Path) -> Result<(), Failure> {
    let image = code.render::<svg::Color<'_>>().min_dimensions(320, 320).build();
    private_file::write(path, image.as_bytes())
}

/// Black and white, one byte a pixel.
fn png(code: &QrCode) -> Result<Vec<u8>, png::EncodingError> {
    let modules = code.to_colors();
    let width = code.width();
    let side = (width + 2 * MARGIN) * SCALE;
    let place = |pixel: usize| (pixel / SCALE).checked_sub(MARGIN).filter(|&module| module < width);
    let shade = |at: usize| {
        let module = place(at / side).zip(place(at % side)).and_then(|(row, column)| modules.get(row * width + column));
        if module == Some(&Color::Dark) { 0 } else { u8::MAX }
    };
    let pixels: Vec<u8> = (0..side * side).map(shade).collect();
    let mut bytes = Vec::new();
    let length = u32::try_from(side).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(&mut bytes, length, length);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const LINK: &str = "https://vettid.dev/connect#VklUWFQtc2VjcmV0";

    /// The middle of each module of the PNG.
    fn modules(bytes: &[u8]) -> Vec<bool> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let side = usize::try_from(reader.next_frame(&mut pixels).unwrap().width).unwrap();
        let width = side / SCALE - 2 * MARGIN;
        let middle = |module: usize| (module + MARGIN) * SCALE + SCALE / 2;
        (0..width * width).map(|at| pixels[middle(at / width) * side + middle(at % width)] == 0).collect()
    }

    #[test]
    fn a_png_shows_the_code_of_the_link() {
        let code = code(LINK).unwrap();
        let wanted: Vec<bool> = code.to_colors().iter().map(|color| *color == Color::Dark).collect();
        assert_eq!(modules(&png(&code).unwrap()), wanted);
    }

    #[test]
    fn a_picture_is_the_members_alone_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let code = code(LINK).unwrap();
        let (png, svg) = (folder.path().join("a.png"), folder.path().join("a.svg"));
        write_png(&code, &png).unwrap();
        write_svg(&code, &svg).unwrap();
        for path in [&png, &svg] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(std::fs::read_to_string(&svg).unwrap().contains("<svg"));
        assert!(write_png(&code, &png).is_err() && write_svg(&code, &svg).is_err());
    }
}
