//! `longshore serve [FILE]`: the ECS API on a port, with the cluster of a file from the start if one is named.
//!
//! Standard output has what a script needs: where the server listens, and the bills at the end. Standard error has the [`log`].

mod log;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::select;
use serde_json::json;

use self::log::Log;
use super::data;
use super::run::write_out;
use super::signals::StopRequests;
use super::{Failure, Format, HostArguments, Outcome, bad_file, bad_input, failed, summary};
use crate::api::server::{ResetRequests, Server, ServerOptions};
use crate::api::sigv4::credentials::Credentials;
use crate::api::{Api, ApiOptions};
use crate::config::{ClusterFile, load_images};
use crate::data_plane::DataPlaneOptions;
use crate::driver::report::Report;
use crate::model::cluster::ClusterSpec;
use crate::model::image_map::{ImageMap, ImagePaths, MappedImage};

/// How often a stop request is looked for.
const REFRESH: Duration = Duration::from_millis(100);
/// Answered requests, and news of images, that may wait to be logged; beyond, they are left out. *Ours.*
const LOG_LINES_WAITING: usize = 10_000;
/// Where it listens when nothing is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

#[derive(Debug, clap::Args)]
pub(super) struct ServeArguments {
    /// A cluster file (TOML), whose cluster runs from the start and whose [settings] apply to clusters that clients create
    file: Option<PathBuf>,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Another port than that of --listen; 0 takes any that is free and says which
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The region of requests that are not signed [default: the file's, or us-east-1]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// A folder of modules, or a file with [images], that says what stands for images; repeated, the first that knows an image decides
    #[arg(long, value_name = "DIR|FILE")]
    images: Vec<PathBuf>,
    /// Let clients name modules and Cargo packages of this machine by their paths
    #[arg(long)]
    allow_paths: bool,
    /// Let POST /_longshore/reset empty the state at once, for test suites
    #[arg(long)]
    allow_reset: bool,
    /// Verify signatures on loopback, too; everywhere else they always are
    #[arg(long)]
    verify_signatures: bool,
    /// The keys that requests are to be signed with: a TOML file with a [[credentials]] for each, with access_key_id,
    /// secret_access_key and, where it has one, session_token [default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY]
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Keep everything in this folder, so that it goes on there after this program was ended or killed; it is in memory alone otherwise
    #[arg(long, value_name = "DIR", conflicts_with = "allow_reset")]
    data_dir: Option<PathBuf>,
    /// What the output and the log look like
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Log no requests but those that fail by a mistake of the server
    #[arg(long, short)]
    quiet: bool,
    /// Write what containers print into files below this folder
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    #[command(flatten)]
    host: HostArguments,
}

impl ServeArguments {
    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.listen.ip(), self.port.unwrap_or(self.listen.port()))
    }

    /// The keys that requests are to be signed with, where they are.
    fn keys(&self) -> Result<Option<Credentials>, Failure> {
        if let Some(file) = &self.credentials {
            return Credentials::load(file).map(Some).map_err(bad_input);
        }
        if !self.verify_signatures && self.listen.ip().is_loopback() {
            return Ok(None);
        }
        let keys = Credentials::from_environment();
        if keys.is_none() && self.verify_signatures {
            return Err(bad_input(
                "--verify-signatures needs keys: name them with --credentials FILE, or in AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY",
            ));
        }
        Ok(keys)
    }
}

pub(super) fn serve(arguments: &ServeArguments) -> Outcome {
    let spec = arguments.file.as_deref().map(ClusterFile::load).transpose().map_err(bad_file)?;
    let stop_requests = StopRequests::listen().map_err(failed)?;
    let (image_observer, images_made) = crossbeam_channel::bounded(LOG_LINES_WAITING);
    let data_plane = DataPlaneOptions {
        log_dir: arguments.log_dir.clone(),
        image_observer: Some(image_observer),
        images: images(arguments, spec.as_ref())?,
        ..arguments.host.data_plane_options()
    };
    let mut options = ApiOptions::new(data_plane).map_err(failed)?;
    if let Some(spec) = &spec {
        options.settings = spec.settings.clone();
        options.region = spec.region.as_str().into();
    }
    if let Some(region) = &arguments.region {
        options.region = region.as_str().into();
    }
    options.data = arguments.data_dir.as_deref().map(data::open).transpose()?;
    let region = options.region.clone();
    let api = Arc::new(Api::new(options));
    // A region of its own is made by the first request; the server's is to be a good one.
    api.region(&region).map_err(|error| bad_input(format!("--region: {}", error.message)))?;
    let credentials = arguments.keys()?;
    let who = match &credentials {
        Some(keys) => format!("Requests are to be signed with {}.", keys.ids().collect::<Vec<_>>().join(" or ")),
        None => "Any credentials will do: AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any.".to_owned(),
    };
    let (record, requests) = crossbeam_channel::bounded(LOG_LINES_WAITING);
    let options = ServerOptions {
        listen: arguments.address(),
        reset: if arguments.allow_reset { ResetRequests::Allowed } else { ResetRequests::Refused },
        credentials,
        log: Some(record),
        ..ServerOptions::default()
    };
    // The port first: whether it can be had is known at once, and a cluster takes its time.
    let server = Server::start(api.clone(), options).map_err(bad_input)?;
    api.go_on().map_err(failed)?;
    if let Some(spec) = spec {
        let region = api.region(&spec.region).map_err(|error| bad_input(error.message))?;
        region.adopt(spec).map_err(failed)?;
    }
    announce(arguments, server.address(), &region, &who);
    let log = Log::new(arguments);
    loop {
        select! {
            recv(requests) -> record => match record {
                Ok(record) => log.request(&record),
                Err(_) => break,
            },
            recv(images_made) -> progress => match progress {
                Ok(progress) => log.image(&progress),
                Err(_) => break,
            },
            default(REFRESH) => {}
        }
        if stop_requests.any() {
            break;
        }
    }
    if arguments.format == Format::Text {
        anstream::eprintln!("{}", if arguments.data_dir.is_some() { STOPPING_KEPT } else { STOPPING });
    }
    server.stop();
    requests.try_iter().for_each(|record| log.request(&record));
    if arguments.data_dir.is_some() {
        api.end();
        return Ok(());
    }
    for snapshot in api.drain() {
        match arguments.format {
            Format::Text => {
                let summary = summary::text(&snapshot);
                let summary = if summary.is_empty() { "\nNothing has run.\n" } else { &summary };
                write_out(&format!("CLUSTER {}\n{summary}", snapshot.name));
            }
            Format::Json => {
                let report = Report::of(&snapshot);
                write_out(&serde_json::to_string(&report).expect("a report is plain data"));
            }
        }
    }
    Ok(())
}

/// What stands for images: what the file says, then what the command line does. Paths are for the file, whose own are known by name.
fn images(arguments: &ServeArguments, spec: Option<&ClusterSpec>) -> Result<ImageMap, Failure> {
    let mut images = spec.map(|spec| spec.images.clone()).unwrap_or_default();
    for path in &arguments.images {
        images = images.before(load_images(path).map_err(bad_file)?);
    }
    if !arguments.allow_paths {
        images.paths = ImagePaths::Refused;
        let containers = spec.iter().flat_map(|spec| &spec.task_definitions).flat_map(|one| &one.containers);
        for path in containers.map(|container| &container.image).filter(|image| image.starts_with('/')) {
            images.names.insert(path.clone(), MappedImage::of(path));
        }
    }
    Ok(images)
}

const STOPPING: &str =
    "stopping: requests are answered, services go to zero, tasks have their stop timeout; Ctrl-C again ends at once";

const STOPPING_KEPT: &str =
    "stopping: requests are answered, tasks are ended, and everything else goes on with the same --data-dir";

/// Says where the server is, and how clients are led to it.
fn announce(arguments: &ServeArguments, address: SocketAddr, region: &str, who: &str) {
    let endpoint = format!("http://{}", SocketAddr::new(reachable(address.ip()), address.port()));
    let kept = arguments.data_dir.as_deref();
    let state = match kept {
        Some(folder) => format!("Everything is kept in {}; Ctrl-C ends, and it goes on from there.", folder.display()),
        None => "Everything is in memory: --data-dir DIR keeps it. Ctrl-C drains and ends.".to_owned(),
    };
    match arguments.format {
        Format::Text => write_out(&format!(
            "longshore {version} answers the ECS API on {address}, region {region}. Lead clients to it with\n\n  \
             export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION={region}\n\n\
             {who} AWS_ENDPOINT_URL_ECS leads those of ECS alone.\n{state}",
            version = env!("CARGO_PKG_VERSION"),
        )),
        Format::Json => write_out(
            &json!({
                "version": env!("CARGO_PKG_VERSION"),
                "address": address.to_string(),
                "port": address.port(),
                "endpoint": endpoint,
                "region": region,
                "data_dir": kept,
            })
            .to_string(),
        ),
    }
    // A script waits for the line.
    let _ = std::io::stdout().flush();
}

/// An address that a client on this machine can use for one that stands for all.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(all) if all.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(all) if all.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        one => one,
    }
}
