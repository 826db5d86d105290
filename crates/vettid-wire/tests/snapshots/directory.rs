//! Samples of what the registry says of services.

use crate::sample::Samples;
use crate::value;
use vettid_wire::directory::{
    AskDomainChallenge, AskStandings, Certification, CertifyService, ClaimDomain, DirectoryEntry, Domain,
    DomainChallenge, DomainClaim, DomainClaimed, Finding, Level, ServiceStanding, Standings, VerifiedDomain,
};

fn domain() -> Domain {
    "example.org".parse().unwrap()
}

fn standing() -> ServiceStanding {
    let verified = VerifiedDomain { domain: domain(), since: value::at(0), checked_at: value::at(60) };
    let certification =
        Certification { reason: "Register of companies".to_owned(), since: value::at(10), until: value::at(9000) };
    ServiceStanding {
        service_id: value::service(),
        guid: value::peer(),
        service_fp: Some(value::peer_fingerprint()),
        level: Level::Certified,
        domain: Some(verified),
        certification: Some(certification),
        issued_at: value::at(61),
        valid_until: value::at(1501),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn claim() -> DomainClaim {
    DomainClaim {
        service_id: value::service(),
        guid: value::peer(),
        domain: domain(),
        public_key: value::ed25519(),
        challenge: value::bytes_url(32),
        at: value::at(1),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("directory");
    samples.text("Domain", domain());
    samples.cases("Level", [Level::Unverified, Level::Verified, Level::Certified]);
    samples.cases("Finding", [Finding::Confirmed, Finding::Absent, Finding::Unknown]);
    samples.object("ServiceStanding", standing()).optional(&["/service_fp", "/domain", "/certification"]);
    samples.object("VerifiedDomain", standing().domain.unwrap());
    samples.object("Certification", standing().certification.unwrap());
    samples.object("AskDomainChallenge", AskDomainChallenge { service_id: value::service(), domain: domain() });
    let challenge = DomainChallenge { challenge: value::bytes_url(32), expires_at: value::at(10) };
    samples.object("DomainChallenge", challenge);
    samples.object("DomainClaim", claim());
    samples.object("ClaimDomain", ClaimDomain { claim: claim(), signature: value::signature() });
    samples.object("DomainClaimed", DomainClaimed { found: Finding::Confirmed, standing: standing() });
    let certify = CertifyService {
        service_id: value::service(),
        reason: "Register of companies".to_owned(),
        until: Some(value::at(9000)),
        at: value::at(10),
        key_id: value::key_id(),
        signature: value::signature(),
    };
    samples.object("CertifyService", certify).optional(&["/until"]);
    samples.object("AskStandings", AskStandings { services: vec![value::service()] });
    let standings = Standings { registry: crate::profile::signed(), standings: vec![standing()] };
    samples.object("Standings", standings).open(&["/registry/public/more"]);
    let entry = DirectoryEntry {
        service_id: value::service(),
        guid: value::peer(),
        messagespace_uri: format!("tls://nats.example:4222/{}", value::peer()),
        standing: standing(),
    };
    samples.object("DirectoryEntry", entry);
    samples
}
