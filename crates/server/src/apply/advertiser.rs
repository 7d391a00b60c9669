//! `[[advertiser]]`

use std::sync::Arc;

use domain::advertiser::{Advertiser, Proof};
use domain::id::AdvertiserId;
use domain::network::Network;
use domain::secret::SecretHash;
use ipnet::IpNet;
use store::advertiser::Token;

use super::declaration::{Declared, Noun};
use super::fault::Sound;
use super::fields::{At, Fields};
use super::plan::{Field, Planner, Signing, Step, Write};
use super::{secret, value};

/// What the file says of an advertiser.
#[derive(Debug)]
pub(crate) struct Body {
    name: Option<String>,
    proof: Proof,
    allowed_addresses: Vec<IpNet>,
    signing: bool,
    tokens: Vec<At<SecretHash>>,
}

pub(crate) fn read(mut fields: Fields<'_>) -> Sound<Declared<Body>> {
    let slug = fields.name(Noun::Advertiser, "slug", value::slug);
    let body = body(&mut fields);
    fields.declare(Noun::Advertiser, slug, body)
}

fn body(fields: &mut Fields<'_>) -> Sound<Body> {
    let name = fields.optional("name", value::name);
    let proof = fields.optional("proof", value::code);
    let addresses = fields.list("allowed_addresses", value::addresses);
    let signing = fields.optional("signing", value::flag);
    let tokens = fields.list("postback_tokens", value::token);
    let proof = proof?.unwrap_or(Proof::Token);
    let (addresses, signing, tokens) = (addresses?, signing?, tokens?);
    if proof == Proof::Address && addresses.is_empty() {
        let why = "proof: \"address\" needs allowed_addresses, because nothing else would prove anything";
        return Err(fields.fault(fields.at("proof"), why));
    }
    if proof == Proof::Signature && signing == Some(false) {
        return Err(
            fields.fault(fields.at("signing"), "signing: must be true, because proof is \"signature\"")
        );
    }
    Ok(Body {
        name: name?,
        proof,
        allowed_addresses: addresses.into_iter().map(|range| range.value).collect(),
        signing: signing.unwrap_or(proof == Proof::Signature),
        tokens,
    })
}

pub(crate) fn plan(
    planner: &mut Planner<'_>,
    network: &Arc<Network>,
    name: &At<String>,
    body: Body,
) -> Sound<()> {
    let slug = name.value.as_str();
    let whose = (Noun::Advertiser, network.label.as_str(), slug);
    let old = planner.advertisers.get(network.id, slug);
    let id = old.as_ref().map_or_else(|| AdvertiserId(planner.new_id()), |old| old.id);
    claim_tokens(planner, id, slug, &body.tokens)?;
    let own = planner.stored.tokens_of.get(&id).map_or(&[][..], Vec::as_slice);
    let live: Vec<Token> = own.iter().filter(|token| token.revoked.is_none()).copied().collect();
    let wants_new = planner.wants_new_secret(whose);
    let tokens = Tokens::decide(planner, &live, &body, wants_new, planner.ends_old_secrets(whose));
    let signed_with = planner.stored.catalog.signing.get(&id).map_or(0, Vec::len);
    let record = Arc::new(Advertiser {
        id,
        network: network.id,
        slug: slug.to_owned(),
        name: body.name.unwrap_or_else(|| slug.to_owned()),
        proof: body.proof,
        allowed_addresses: body.allowed_addresses,
    });
    planner.advertisers.put(network.id, slug, Arc::clone(&record));
    let before = old.map(|old| fields(&old, signed_with > 0, live.len()));
    let existed = before.is_some();
    let after = fields(&record, body.signing, tokens.live);
    let path = tokens.path(planner, body.proof, !body.tokens.is_empty());
    let write = Write::Advertiser {
        record: Arc::clone(&record),
        signing: Vec::new(),
        tokens: tokens.added,
        revoked: tokens.revoked,
    };
    let mut step = Step::new((Noun::Advertiser, slug), network, id.uuid(), (before, after), write);
    step.address = Some(("postback_url", path));
    if let Some(shown) = tokens.shown {
        if existed {
            step.note("postback_token", "a new one; the others stay valid until they are ended");
        }
        step.secrets.push(shown);
    }
    let renewal = (wants_new, planner.ends_old_secrets(whose));
    sign(planner, &mut step, name.at, (body.signing, signed_with), renewal)?;
    planner.step(step);
    Ok(())
}

/// A token opens one advertiser's account only.
fn claim_tokens(
    planner: &mut Planner<'_>,
    id: AdvertiserId,
    slug: &str,
    tokens: &[At<SecretHash>],
) -> Sound<()> {
    let mut sound = Ok(());
    for token in tokens {
        if *planner.token_owners.entry(token.value).or_insert(id) != id {
            let why = "postback_tokens: this token already belongs to another advertiser";
            sound = Err(planner.faults.fault(token.at, format!("advertiser \"{slug}\": {why}")));
        }
    }
    sound
}

/// What becomes of an advertiser's tokens.
struct Tokens {
    added: Vec<SecretHash>,
    revoked: Vec<SecretHash>,
    /// How many are live afterwards.
    live: usize,
    /// The one that was generated.
    shown: Option<secret::Shown>,
}

impl Tokens {
    fn decide(planner: &Planner<'_>, live: &[Token], body: &Body, wants_new: bool, end_old: bool) -> Self {
        let declared: Vec<SecretHash> = body.tokens.iter().map(|token| token.value).collect();
        let mut added: Vec<SecretHash> = declared.clone();
        added.retain(|hash| live.iter().all(|token| token.hash != *hash));
        added.sort_unstable_by_key(|hash| hash.0);
        added.dedup();
        // Without any token, an advertiser who has to prove itself by one could not report anything.
        let lacks_one = body.proof == Proof::Token && live.is_empty() && added.is_empty();
        let renews = wants_new && (body.proof != Proof::Signature || !live.is_empty());
        let (fresh, shown) = (lacks_one || renews).then(|| secret::token(planner.ambient)).unzip();
        let newest = live.iter().max_by_key(|token| token.created).filter(|_| fresh.is_none());
        let stays = |token: &Token| {
            declared.contains(&token.hash) || newest.is_some_and(|newest| newest.hash == token.hash)
        };
        let ended = live.iter().filter(|token| end_old && !stays(token));
        let revoked: Vec<SecretHash> = ended.map(|token| token.hash).collect();
        added.extend(fresh);
        let live = live.len() + added.len() - revoked.len();
        Self { added, revoked, live, shown }
    }

    /// Where the advertiser sends its postbacks.
    fn path(&self, planner: &Planner<'_>, proof: Proof, has_own: bool) -> String {
        let path = "/postback?gk_click_id={gk_click_id}";
        let token = match &self.shown {
            _ if proof != Proof::Token => return path.to_owned(),
            Some(_) if planner.dry_run => "<made when this is applied>",
            Some(shown) => shown.value.as_str(),
            None if has_own => "<its own token>",
            None => "<shown when it was created>",
        };
        format!("{path}&token={token}")
    }
}

/// Decides about the signing secrets: `wanted` or not, and with how many it signs so far.
fn sign(
    planner: &Planner<'_>,
    step: &mut Step,
    at: usize,
    (wanted, signed_with): (bool, usize),
    (wants_new, end_old): (bool, bool),
) -> Sound<()> {
    let mut decided = Vec::new();
    if !wanted && signed_with > 0 {
        decided.push(Signing::Stop);
    }
    if wanted && (signed_with == 0 || wants_new) {
        let (secret, shown) = planner.signing_secret(at)?;
        decided.push(Signing::New(secret));
        step.secrets.push(shown);
        if signed_with > 0 {
            step.note("signing_secret", "a new one; the one before it stays valid until it is ended");
        }
    }
    if wanted && end_old && signed_with + decided.len() > 1 {
        decided.push(Signing::EndOld);
        step.note("old_signing_secret", "ended");
    }
    if let Write::Advertiser { signing, .. } = &mut step.write {
        *signing = decided;
    }
    Ok(())
}

fn fields(advertiser: &Advertiser, signs: bool, live_tokens: usize) -> Vec<Field> {
    let addresses: Vec<String> = advertiser.allowed_addresses.iter().map(ToString::to_string).collect();
    vec![
        Field::new("name", &advertiser.name),
        Field::new("proof", advertiser.proof),
        Field::maybe("allowed_addresses", (!addresses.is_empty()).then(|| addresses.join(", "))),
        Field::new("signing", signs),
        Field::new("postback_tokens", live_tokens),
    ]
}
