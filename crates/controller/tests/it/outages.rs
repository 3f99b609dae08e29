//! Failed requests to kube-apiserver are retried with growing delays and block nothing else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use controller::{Controller, DeliveryControl, ParkReason, RETRY_TIME_MAX, Settings, Start};
use event::Timestamp;
use objectstore::Destination;
use sink::DeliveryHealth;

use super::kube_apiserver::{KubeApiserver, Trouble};

const CONFIGS: usize = 70;
/// Duration of the fault.
const OUTAGE: Duration = Duration::from_mins(26);

/// Delivery of which nothing is asked but to let go, because no Profile exists.
#[derive(Default)]
struct NoDelivery {
    readers: Vec<&'static str>,
    /// Readers that were let go, and how.
    released: Mutex<Vec<String>>,
}

impl NoDelivery {
    fn released(&self) -> Vec<String> {
        let mut released = std::mem::take(&mut *self.released.lock().unwrap());
        // Those of AuditConfigs that are there.
        released.retain(|one| !one.contains("/c"));
        released.sort();
        released.dedup();
        released
    }
}

#[async_trait]
impl DeliveryControl for NoDelivery {
    async fn reserve(&self, reader: &str, _: Start) -> Result<(), String> {
        panic!("{reader} has no destination")
    }

    async fn check(&self, destination: &Destination) -> Result<String, String> {
        panic!("{destination:?}")
    }

    async fn start(&self, reader: &str, _: &Destination) -> Result<(), String> {
        panic!("{reader} has no destination")
    }

    async fn pause(&self, _: &str) {}

    async fn park(
        &self,
        reader: &str,
        _: Start,
        reason: ParkReason,
    ) -> Result<Option<u64>, String> {
        self.released.lock().unwrap().push(format!("{reader} parked, {reason:?}"));
        Ok(None)
    }

    async fn drain(&self, reader: &str, _: Duration) -> Result<u64, String> {
        self.released.lock().unwrap().push(format!("{reader} forgotten"));
        Ok(0)
    }

    fn health(&self, _: &str) -> Option<DeliveryHealth> {
        None
    }

    fn readers(&self) -> Vec<String> {
        self.readers.iter().map(|&reader| reader.to_owned()).collect()
    }
}

fn controller(server: &KubeApiserver, delivery: Arc<NoDelivery>, settings: Settings) -> Controller {
    let clock = Arc::new(|| Timestamp::from_micros(1_795_566_600_000_000));
    Controller::new(server.client(), delivery, settings, clock)
}

/// Looks after 70 `AuditConfigs` during some trouble and after it. How often this was asked
/// meanwhile.
async fn during(trouble: Trouble, what: &str) -> usize {
    let server = KubeApiserver::new(CONFIGS, trouble);
    let controller = controller(&server, Arc::default(), Settings::default());
    let looks = async {
        tokio::time::sleep(OUTAGE).await;
        let asked = server.asked(what);
        server.set_trouble(Trouble::None);
        tokio::time::sleep(2 * RETRY_TIME_MAX).await;
        assert_eq!(server.statuses(), vec!["Pending"; CONFIGS], "{trouble:?}");
        asked
    };
    tokio::select! {
        () = controller.run() => panic!("the controller ended"),
        asked = looks => asked,
    }
}

/// 70 `AuditConfigs` made 75 requests a second.
#[tokio::test(start_paused = true)]
async fn trouble_with_kube_apiserver_makes_few_requests_however_many_objects_there_are() {
    let waits = usize::try_from(OUTAGE.as_secs() / RETRY_TIME_MAX.as_secs()).unwrap();
    for (trouble, what, most) in [
        // One request for all objects.
        (Trouble::NoDiscovery, "GET discovery", waits + 8),
        (Trouble::None, "GET discovery", 1),
        // One request for each object.
        (Trouble::NoWrites, "PATCH auditconfigs", (waits + 8) * CONFIGS),
        (Trouble::NoStatus, "PATCH auditconfigs", (waits + 8) * CONFIGS),
        (Trouble::None, "PATCH auditconfigs", 2 * CONFIGS),
        (Trouble::ShortWatches, "GET auditconfigs", waits + 8),
    ] {
        let asked = during(trouble, what).await;
        assert!((1..=most).contains(&asked), "{trouble:?}: {asked} times {what}, not {most}");
    }
}

/// Regression: one unreadable namespace blocked the `AuditConfigs` of all others for ever.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_may_not_be_read_holds_up_no_other() {
    let server = KubeApiserver::new(2, Trouble::NoShop);
    let delivery = Arc::new(NoDelivery {
        readers: vec![
            "auditconfig/kasten-io/c0/u0",
            "auditconfig/kasten-io/gone/u9",
            "auditconfig/shop/away/u8",
            "auditconfig/other/away/u7",
            "stdout",
        ],
        ..NoDelivery::default()
    });
    let namespaces = vec!["kasten-io".to_owned(), "shop".to_owned()];
    let settings = Settings { namespaces, ..Settings::default() };
    let looks = async {
        tokio::time::sleep(RETRY_TIME_MAX).await;
        assert_eq!(server.statuses(), ["Pending", "Pending"]);
        assert_eq!(
            delivery.released(),
            [
                "auditconfig/kasten-io/gone/u9 forgotten",
                "auditconfig/other/away/u7 parked, Off",
                "auditconfig/shop/away/u8 parked, NoDestination",
            ]
        );
        server.set_trouble(Trouble::None);
        tokio::time::sleep(2 * RETRY_TIME_MAX).await;
        let released = delivery.released();
        assert!(
            released.contains(&"auditconfig/shop/away/u8 forgotten".to_owned()),
            "{released:?}"
        );
    };
    tokio::select! {
        () = controller(&server, Arc::clone(&delivery), settings).run() => panic!("the controller ended"),
        () = looks => {}
    }
}
