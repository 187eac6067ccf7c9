//! Resizes every PNG picture of a folder into another folder, keeping the aspect ratio and enlarging none.
//!
//! With `--wait-for` it runs beside the container that makes the pictures, and polls the folder until it has handled so
//! many. Names that begin with a dot are pictures still being written, here and in `render`: they are left alone.
//!
//! Arguments: `thumbnail IN_DIR OUT_DIR MAX_SIDE [--wait-for COUNT]`.
//! Exit: 0; 1 when a folder or picture cannot be read or written; 2 for bad arguments.
//! Fuel: 600 M a million pixels. Memory: 2 MiB and 7 bytes a pixel.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{BufReader, BufWriter, ErrorKind};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use image::imageops::FilterType;
use image::{ImageFormat, ImageReader};

const POLL_INTERVAL: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(order) = parse(&arguments) else {
        eprintln!("usage: thumbnail IN_DIR OUT_DIR MAX_SIDE [--wait-for COUNT]");
        return ExitCode::from(2);
    };
    match make_thumbnails(&order) {
        Ok(count) => {
            println!("thumbnail: {count} pictures");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("thumbnail: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Order<'a> {
    source: &'a Path,
    target: &'a Path,
    side_max: u32,
    /// Pictures to handle before the program ends; without a number, those that are there at the start.
    awaited_count: Option<usize>,
}

fn parse<'a>(arguments: &[&'a str]) -> Option<Order<'a>> {
    let (&[source, target, side], awaited) = arguments.split_at_checked(3)? else {
        return None;
    };
    let awaited_count = match awaited {
        [] => None,
        ["--wait-for", count] => Some(count.parse().ok()?),
        _ => return None,
    };
    let side_max = side.parse().ok().filter(|&side| side > 0)?;
    // The results would be taken for pictures to resize.
    (source != target).then_some(Order { source: source.as_ref(), target: target.as_ref(), side_max, awaited_count })
}

/// Handles the pictures of the folder, and returns how many there were.
fn make_thumbnails(order: &Order) -> Result<usize, Box<dyn Error>> {
    fs::create_dir_all(order.target)?;
    let mut handled = BTreeSet::new();
    loop {
        for name in pictures(order)? {
            if handled.insert(name.clone()) {
                make_thumbnail(order, &name).map_err(|error| format!("{name}: {error}"))?;
            }
        }
        match order.awaited_count {
            Some(count) if handled.len() < count => thread::sleep(POLL_INTERVAL),
            _ => return Ok(handled.len()),
        }
    }
}

/// Lists the finished pictures, in the order of their names.
fn pictures(order: &Order) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let entries = match fs::read_dir(order.source) {
        Ok(entries) => entries,
        // The container that is waited for makes the folder, too.
        Err(error) if error.kind() == ErrorKind::NotFound && order.awaited_count.is_some() => {
            return Ok(BTreeSet::new());
        }
        Err(error) => return Err(format!("{}: {error}", order.source.display()).into()),
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".png") && !name.starts_with('.') {
            names.insert(name);
        }
    }
    Ok(names)
}

fn make_thumbnail(order: &Order, name: &str) -> Result<(), Box<dyn Error>> {
    let file = BufReader::new(fs::File::open(order.source.join(name))?);
    let picture = ImageReader::with_format(file, ImageFormat::Png).decode()?;
    let fits = picture.width().max(picture.height()) <= order.side_max;
    let thumbnail =
        if fits { picture.clone() } else { picture.resize(order.side_max, order.side_max, FilterType::CatmullRom) };
    let unfinished = order.target.join(format!(".{name}.part"));
    let mut file = BufWriter::new(fs::File::create(&unfinished)?);
    thumbnail.write_to(&mut file, ImageFormat::Png)?;
    file.into_inner()?;
    fs::rename(&unfinished, order.target.join(name))?;
    println!("{name} {}x{} -> {}x{}", picture.width(), picture.height(), thumbnail.width(), thumbnail.height());
    Ok(())
}
