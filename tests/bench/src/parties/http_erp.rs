//! An ERP elsewhere, spoken to as connectors do.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use connector::erp::{Erp, Findings, Probe, Step, StepCall, StepError};
use domain::ErpCommand;
use fault::{Class, Fault};
use http::{HeaderName, HeaderValue, StatusCode};
use http_kit::client::{Outgoing, Settings};
use http_kit::{Client, Exchange};

use super::adapter::{one_step, sale_of};

pub(super) struct HttpErp {
    client: Client,
    url: String,
    refused: AtomicU64,
}

impl HttpErp {
    pub(super) fn new(address: SocketAddr) -> anyhow::Result<Self> {
        let settings = Settings { allow_private: vec![address.ip().to_string().parse()?], ..Settings::default() };
        Ok(Self { client: Client::new(&settings)?, url: format!("http://{address}/"), refused: AtomicU64::new(0) })
    }

    /// Requests that found the port closed.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    async fn send(&self, outgoing: Outgoing) -> Result<(), StepError> {
        match self.client.send(outgoing).await {
            Exchange::Answered { status: StatusCode::OK, .. } => Ok(()),
            Exchange::Answered { status: StatusCode::SERVICE_UNAVAILABLE, .. } => {
                Err(Fault::new(Class::Outage, "erp_away", "the ERP answered 503").into())
            }
            Exchange::Answered { status, .. } => {
                Err(Fault::new(Class::BusinessRejected, "erp_refused", format!("the ERP answered {status}")).into())
            }
            Exchange::NotSent(why) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Fault::new(Class::Outage, "erp_unreachable", "the ERP was not reached").with_source(why).into())
            }
            Exchange::Unknown(why) => {
                let fault = Fault::new(Class::Transient, "erp_no_answer", "the ERP's answer broke off").with_source(why);
                Err(StepError { fault, maybe_applied: true })
            }
        }
    }
}

#[async_trait]
impl Erp for HttpErp {
    fn platform(&self) -> &'static str {
        "http"
    }

    fn steps(&self, _command: &ErpCommand) -> Result<Vec<Step>, Fault> {
        Ok(one_step())
    }

    async fn probe(&self, _call: &StepCall<'_>) -> Result<Probe, Fault> {
        Ok(Probe::Missing)
    }

    async fn perform(&self, call: &StepCall<'_>) -> Result<Findings, StepError> {
        let (key, sequence) = (call.command.aggregate.as_str(), call.command.sequence);
        let key = HeaderValue::from_str(key).expect("keys of the bench are plain");
        let request = Outgoing::post_json(self.url.as_str(), call.idempotency_key.to_owned())
            .header(HeaderName::from_static("x-key"), key)
            .header(HeaderName::from_static("x-sequence"), sequence.into());
        self.send(request).await?;
        Ok(sale_of(call.command))
    }

    async fn ping(&self) -> Result<(), Fault> {
        self.send(Outgoing::get(self.url.as_str())).await.map_err(|error| error.fault)
    }
}
