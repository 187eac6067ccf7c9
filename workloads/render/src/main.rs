//! Draws pictures into a folder: Julia sets over a gradient, the same bytes on every host.
//!
//! A picture appears under its name only when it is complete, so that another container can read the folder meanwhile.
//!
//! Arguments: `render OUT_DIR COUNT WIDTH HEIGHT`; the pictures are `picture-0001.png` and so on.
//! Exit: 0; 1 when a picture cannot be written; 2 for bad arguments.
//! Fuel: 1 G a million pixels, more or less by how much of the picture is inside the set. Memory: 1.5 MiB and 3 bytes a pixel.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

/// Steps after which a point is taken to stay inside the set.
const STEPS_MAX: u32 = 96;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((folder, count, size)) = parse(&arguments) else {
        eprintln!("usage: render OUT_DIR COUNT WIDTH HEIGHT");
        return ExitCode::from(2);
    };
    match render_all(Path::new(folder), count, size) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("render: {folder}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Copy)]
struct Size {
    width: u32,
    height: u32,
}

fn parse(arguments: &[String]) -> Option<(&str, u32, Size)> {
    let [folder, count, width, height] = arguments else {
        return None;
    };
    let size = Size { width: width.parse().ok()?, height: height.parse().ok()? };
    (size.width > 0 && size.height > 0).then_some((folder.as_str(), count.parse().ok()?, size))
}

fn render_all(folder: &Path, count: u32, size: Size) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for number in 1..=count {
        let name = format!("picture-{number:04}.png");
        let unfinished = folder.join(format!(".{name}.part"));
        write_png(&unfinished, size, &draw(number, size))?;
        fs::rename(&unfinished, folder.join(&name))?;
        println!("{name} {}x{}", size.width, size.height);
    }
    println!("render: {count} pictures");
    Ok(())
}

fn write_png(path: &Path, size: Size, pixels: &[u8]) -> io::Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    let mut encoder = png::Encoder::new(&mut file, size.width, size.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    file.flush()
}

/// Draws picture `number`: rows of RGB pixels, each colour from how fast the point leaves the Julia set.
fn draw(number: u32, size: Size) -> Vec<u8> {
    // A slow walk around the main cardioid of the Mandelbrot set, where the Julia sets are rich.
    let angle = f64::from(number) * 0.37;
    let (c_re, c_im) = (0.7885 * angle.cos(), 0.7885 * angle.sin());
    let scale = 3.0 / f64::from(size.width.min(size.height));
    let mut pixels = Vec::with_capacity(size.width as usize * size.height as usize * 3);
    for y in 0..size.height {
        for x in 0..size.width {
            let re = (f64::from(x) - f64::from(size.width) / 2.0) * scale;
            let im = (f64::from(y) - f64::from(size.height) / 2.0) * scale;
            let glow = steps_to_escape(re, im, c_re, c_im) * 255 / STEPS_MAX;
            let across = 255 * x / size.width;
            let down = 255 * y / size.height;
            pixels.extend([glow, across / 2 + glow / 2, down / 2 + (255 - glow) / 2].map(|channel| channel as u8));
        }
    }
    pixels
}

fn steps_to_escape(mut re: f64, mut im: f64, c_re: f64, c_im: f64) -> u32 {
    for step in 0..STEPS_MAX {
        let (re_squared, im_squared) = (re * re, im * im);
        if re_squared + im_squared > 4.0 {
            return step;
        }
        im = 2.0 * re * im + c_im;
        re = re_squared - im_squared + c_re;
    }
    STEPS_MAX
}
