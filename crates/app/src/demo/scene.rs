//! Where the story plays: a folder, a lake, two delivery streams, two routers.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws::{Client, ClientOptions, CredentialsOptions, CredentialsProvider, Environment, Service};
use lake::Lake;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Error;
use super::router_process::{RouterProcess, Usage};

/// The lake's default key, public and secret part alike.
pub const KEY: &str = "flumen";
/// A folder with this file in it is a demo's, and may be replaced.
const MARK: &str = "this-is-a-flumen-demo";
/// The bucket of the post.
const BUCKET: &str = "mh9-firelens-demo";
/// The folder of the container log files.
const CONTAINERS: &str = "containers";
/// How long a router may take to start.
const START_MAX: Duration = Duration::from_secs(20);

const EKS_CONFIG: &str = include_str!("../../../../tests/seed/eks-fluent-bit.conf");
const ECS_CONFIG: &str = include_str!("../../../../tests/seed/ecs-fluent-bit.conf");
const PARSERS: &str = include_str!("../../../../tests/seed/parsers.conf");

/// See the module's documentation.
pub struct Scene {
    folder: PathBuf,
    /// The lake, in this process.
    pub lake: Lake,
    endpoint: String,
    serving: JoinHandle<()>,
    routers: Vec<RouterProcess>,
}

impl Scene {
    /// Makes the folder, starts the lake and creates the post's two delivery streams.
    pub async fn set(folder: &Path) -> Result<Scene, Error> {
        prepare(folder)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let lake = Lake::open(lake::Options::new(folder.join("lake"))).await?;
        let server = lake.clone();
        let serving = tokio::spawn(async move {
            let _ = server.serve(listener, std::future::pending()).await;
        });
        let scene = Scene {
            folder: folder.to_owned(),
            lake,
            endpoint,
            serving,
            routers: Vec::new(),
        };
        scene.create_streams().await?;
        Ok(scene)
    }

    /// The post's `aws firehose create-delivery-stream`, once per cluster.
    async fn create_streams(&self) -> Result<(), Error> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", KEY),
        ];
        let environment = Environment::fixed(variables);
        let region = "us-west-2";
        let credentials = CredentialsOptions {
            region: region.to_owned(),
            ..CredentialsOptions::default()
        };
        let credentials = CredentialsProvider::new(&credentials, &environment)?;
        let client = Client::new(
            ClientOptions::new(Service::FIREHOSE, region),
            credentials,
            &environment,
        )?;
        for cluster in ["ecs", "eks"] {
            let body = format!(
                r#"{{"DeliveryStreamName":"{cluster}-stream","DeliveryStreamType":"DirectPut","S3DestinationConfiguration":{{
                "RoleARN":"arn:aws:iam::123456789012:role/firehose_delivery_role","BucketARN":"arn:aws:s3:::{BUCKET}",
                "Prefix":"{cluster}","BufferingHints":{{"SizeInMBs":1,"IntervalInSeconds":60}},
                "CompressionFormat":"UNCOMPRESSED"}}}}"#
            );
            client
                .post_json("Firehose_20150804.CreateDeliveryStream", body)
                .await?;
        }
        Ok(())
    }

    /// Starts a router per cluster and waits until both are ready.
    pub async fn start_routers(&mut self) -> Result<(), Error> {
        let paths = [
            (
                "/var/log/containers/",
                format!("{}/", self.containers().display()),
            ),
            (
                "/var/log/flb_kube.db",
                self.folder.join("flb_kube.db").display().to_string(),
            ),
            ("/var/run/fluent.sock", self.socket().display().to_string()),
        ];
        for (cluster, config) in [("EKS", EKS_CONFIG), ("ECS", ECS_CONFIG)] {
            let folder = self
                .folder
                .join(format!("{}-router", cluster.to_lowercase()));
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("parsers.conf"), PARSERS)?;
            // Only the paths of a node become paths of this folder; the rest is the post's, to the letter.
            let config = paths
                .iter()
                .fold(config.to_owned(), |text, (from, to)| text.replace(from, to));
            let file = folder.join("fluent-bit.conf");
            std::fs::write(&file, config)?;
            self.routers
                .push(RouterProcess::start(cluster, &file, &self.endpoint)?);
        }
        self.wait_for_routers().await
    }

    /// The socket listens, and the files are followed: what is written before that is not read (Read_from_Head off).
    async fn wait_for_routers(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + START_MAX;
        let files = std::fs::read_dir(self.containers())?.count();
        while !(self.socket().exists() && self.routers[0].followed_files() >= files) {
            self.routers.iter_mut().try_for_each(RouterProcess::check)?;
            if Instant::now() > deadline {
                return Err("the routers did not get ready".into());
            }
            tokio::time::sleep(super::LOOK).await;
        }
        Ok(())
    }

    /// Records that Firehose has acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.lake.counters().total().records
    }

    /// Waits until `lines` records are acknowledged.
    pub async fn wait_for(
        &self,
        lines: u64,
        longest: Duration,
        mut look: impl FnMut(u64),
    ) -> Result<(), Error> {
        let deadline = Instant::now() + longest;
        loop {
            let arrived = self.acknowledged();
            look(arrived);
            if arrived >= lines {
                return Ok(());
            }
            if Instant::now() > deadline {
                let logs = self.folder.display();
                return Err(format!(
                    "only {arrived} of {lines} lines arrived; the routers' logs lie in {logs}"
                )
                .into());
            }
            tokio::time::sleep(super::LOOK).await;
        }
    }

    /// What the routers have used so far.
    pub fn usage(&self, lines: &[u64]) -> Result<Vec<Usage>, Error> {
        self.routers
            .iter()
            .zip(lines)
            .map(|(router, lines)| router.usage(*lines))
            .collect()
    }

    /// Ends the routers and tells what they used.
    pub fn stop_routers(&mut self, lines: &[u64]) -> Result<Vec<Usage>, Error> {
        let routers = std::mem::take(&mut self.routers);
        routers
            .into_iter()
            .zip(lines)
            .map(|(router, lines)| router.stop(*lines))
            .collect()
    }

    /// Ends the lake.
    pub async fn end(self) {
        self.serving.abort();
        self.lake.close().await;
    }

    /// The lake's folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("lake")
    }

    /// Where the lake answers.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The folder of the objects.
    pub fn objects(&self) -> PathBuf {
        self.data().join("objects").join(BUCKET)
    }

    /// The folder of the container log files.
    pub fn containers(&self) -> PathBuf {
        self.folder.join(CONTAINERS)
    }

    /// The socket of the ECS router.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("fluent.sock")
    }
}

/// Makes `folder` anew. A folder that is not a demo's is left alone.
fn prepare(folder: &Path) -> Result<(), Error> {
    let mark = folder.join(MARK);
    if mark.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let first_entry = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    if first_entry.is_some() {
        let folder = folder.display();
        return Err(
            format!("{folder} is not empty and not a demo's; choose another --data").into(),
        );
    }
    std::fs::create_dir_all(folder.join(CONTAINERS))?;
    std::fs::write(
        mark,
        "A folder with this file in it is replaced by the next demo.\n",
    )?;
    Ok(())
}
