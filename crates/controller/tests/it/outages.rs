//! Failed requests to kube-apiserver are retried with growing delays and block nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use controller::{
    Controller, DeliveryControl, DeliveryError, DestinationError, ParkReason, RETRY_TIME_MAX,
    Settings, Start,
};
use event::Timestamp;
use objectstore::{Capabilities, Destination};
use serde_json::{Value, json};
use sink::DeliveryHealth;

use super::kube_apiserver::{Fault, KubeApiserver};

const CONFIGS: usize = 70;
/// Duration of the fault.
const OUTAGE: Duration = Duration::from_mins(26);

/// Delivery that has readers and releases them, because no Profile exists.
#[derive(Default)]
struct NoDelivery {
    readers: Vec<&'static str>,
    /// Number of calls of `drain` that fail first.
    failures: AtomicUsize,
    /// Readers that were released, and how.
    released: Mutex<Vec<String>>,
}

impl NoDelivery {
    fn released(&self) -> Vec<String> {
        let mut released = std::mem::take(&mut *self.released.lock().unwrap());
        // Omits the readers of existing AuditConfigs.
        released.retain(|reader| !reader.contains("/c"));
        released.sort();
        released.dedup();
        released
    }
}

#[async_trait]
impl DeliveryControl for NoDelivery {
    async fn reserve(&self, reader: &str, _: Start) -> Result<(), DeliveryError> {
        panic!("{reader} has no destination")
    }

    async fn check(&self, destination: &Destination) -> Result<Capabilities, DestinationError> {
        panic!("{destination:?}")
    }

    async fn start(&self, reader: &str, _: &Destination) -> Result<(), DeliveryError> {
        panic!("{reader} has no destination")
    }

    async fn pause(&self, _: &str) {}

    async fn park(
        &self,
        reader: &str,
        _: Start,
        reason: ParkReason,
    ) -> Result<Option<u64>, DeliveryError> {
        self.released.lock().unwrap().push(format!("{reader} parked, {reason:?}"));
        Ok(None)
    }

    async fn drain(&self, reader: &str, _: Duration) -> Result<u64, DeliveryError> {
        let take_failure = |remaining: usize| remaining.checked_sub(1);
        if self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_failure).is_ok() {
            return Err(DeliveryError::Journal("the disk is full".into()));
        }
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

/// Reconciles 70 `AuditConfigs` during a fault and after it. Calls `check` with the server when the fault
/// ends.
async fn reconcile_during(fault: Fault, check: impl FnOnce(&KubeApiserver)) {
    let server = KubeApiserver::new(CONFIGS, fault);
    let controller = controller(&server, Arc::default(), Settings::default());
    let checks = async {
        tokio::time::sleep(OUTAGE).await;
        check(&server);
        server.set_fault(Fault::None);
        tokio::time::sleep(2 * RETRY_TIME_MAX).await;
        assert_eq!(server.statuses(), vec!["Pending"; CONFIGS], "{fault:?}");
    };
    tokio::select! {
        () = controller.run() => panic!("the controller ended"),
        () = checks => {}
    }
}

/// Regression: 70 `AuditConfigs` caused 75 requests per second.
#[tokio::test(start_paused = true)]
async fn a_faulty_kube_apiserver_gets_few_requests_however_many_objects_exist() {
    let waits = usize::try_from(OUTAGE.as_secs() / RETRY_TIME_MAX.as_secs()).unwrap();
    let watches = usize::try_from(OUTAGE.as_secs() / 290).unwrap();
    let cases: [(Fault, &[(&str, usize)]); 6] = [
        // One request for all objects.
        (Fault::NoDiscovery, &[("GET discovery", waits + 8)]),
        // A watch that ends is resumed, without another list.
        (
            Fault::None,
            &[
                ("GET discovery", 1),
                ("PATCH auditconfigs", 2 * CONFIGS),
                ("GET auditconfigs", 1),
                ("WATCH auditconfigs", watches + 1),
            ],
        ),
        // One request for each object.
        (Fault::NoWrites, &[("PATCH auditconfigs", (waits + 8) * CONFIGS)]),
        (Fault::NoStatus, &[("PATCH auditconfigs", (waits + 8) * CONFIGS)]),
        (Fault::ShortWatches, &[("GET auditconfigs", 1), ("WATCH auditconfigs", waits + 8)]),
        (Fault::NoWatches, &[("GET auditconfigs", waits + 8), ("WATCH auditconfigs", waits + 8)]),
    ];
    for (fault, limits) in cases {
        let check = |server: &KubeApiserver| {
            for &(resource, max) in limits {
                let requests = server.requests(resource);
                assert!(
                    (1..=max).contains(&requests),
                    "{fault:?}: {requests} × {resource}, more than {max}"
                );
            }
        };
        reconcile_during(fault, check).await;
    }
}

/// Regression: one unreadable namespace blocked the `AuditConfigs` of all others for ever.
#[tokio::test(start_paused = true)]
async fn an_unreadable_namespace_does_not_block_the_others() {
    let server = KubeApiserver::new(2, Fault::NoShop);
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
    let checks = async {
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
        server.set_fault(Fault::None);
        tokio::time::sleep(2 * RETRY_TIME_MAX).await;
        let released = delivery.released();
        assert!(
            released.contains(&"auditconfig/shop/away/u8 forgotten".to_owned()),
            "{released:?}"
        );
    };
    tokio::select! {
        () = controller(&server, Arc::clone(&delivery), settings).run() => panic!("the controller ended"),
        () = checks => {}
    }
}

/// Regression: the reader was released only at the next list, which a working watch never requests.
#[tokio::test(start_paused = true)]
async fn a_reader_that_could_not_be_released_is_released_without_a_change_of_any_object() {
    let server = KubeApiserver::new(0, Fault::None);
    let delivery = Arc::new(NoDelivery {
        readers: vec!["auditconfig/kasten-io/gone/u9"],
        failures: AtomicUsize::new(2),
        ..NoDelivery::default()
    });
    let settings = Settings { reports_profiles: false, ..Settings::default() };
    let released = async {
        tokio::time::sleep(RETRY_TIME_MAX).await;
        delivery.released()
    };
    tokio::select! {
        () = controller(&server, Arc::clone(&delivery), settings).run() => panic!("the controller ended"),
        released = released => {
            assert_eq!(released, ["auditconfig/kasten-io/gone/u9 forgotten"]);
        }
    }
}

/// Regression: the object kept status Success and a finalizer, so that its deletion never ended.
#[tokio::test(start_paused = true)]
async fn an_audit_config_in_a_namespace_that_is_no_longer_allowed_was_not_released() {
    let server = KubeApiserver::new(0, Fault::NoShop);
    server.add_in_other();
    let delivery = Arc::new(NoDelivery {
        readers: vec!["auditconfig/other/away/u7", "auditconfig/other/deleted/u6"],
        ..NoDelivery::default()
    });
    let settings = Settings { reports_profiles: false, ..Settings::default() };
    let check = async |expected_status: &str, expected_finalizers: Value| {
        tokio::select! {
            () = controller(&server, Arc::clone(&delivery), settings.clone()).run() => {
                panic!("the controller ended")
            }
            () = tokio::time::sleep(RETRY_TIME_MAX) => {}
        }
        let config = server.config("away");
        assert_eq!(config["status"]["validation"], expected_status);
        assert_eq!(config["metadata"]["finalizers"], expected_finalizers);
    };
    // Without permissions, it asks once for each object.
    check("Success", json!(["x.io/y", "audit.keepwatch.io/delivery"])).await;
    assert_eq!(server.events("Released"), [""; 0]);
    assert_eq!(server.requests("GET auditconfigs"), 3);
    // With permissions again, after another start.
    server.set_fault(Fault::None);
    check("Failed", json!(["x.io/y"])).await;
    let message = "namespace `other` is not in --audit-config-namespaces: nothing is delivered, and the journal no \
                   longer keeps events for it";
    assert_eq!(server.events("Released"), [message]);
    let error = "namespace `other` is not in --audit-config-namespaces: nothing is delivered";
    assert_eq!(server.config("away")["status"]["error"], json!([error]));
}
