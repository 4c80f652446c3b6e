//! Who calls, and what that caller may do.

use lightship_api::{Caller, ProblemType, Role};
use lightship_platform::crypto::Sha256;

use crate::config::Api;
use crate::rest::Refusal;

/// Everybody who may call.
pub(crate) struct Access {
    /// What the configured token hashes to; `None`: no token is needed.
    configured: Option<[u8; 32]>,
}

/// Somebody who calls; handlers find it as an extension of their request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The token's name.
    pub(crate) name: String,
    pub(crate) role: Role,
}

impl Actor {
    /// As the API shows it.
    pub(crate) fn shape(&self) -> Caller {
        Caller { name: self.name.clone(), role: self.role, token_id: None, expires_at: None }
    }

    /// Refuses what its role may not do.
    pub(crate) fn must_be(&self, needed: Role) -> Result<(), Refusal> {
        if self.role >= needed {
            return Ok(());
        }
        let detail = format!("it needs the role {needed}, and {:?} is {}", self.name, self.role);
        Err(Refusal::new(ProblemType::ForbiddenRole, detail))
    }
}

impl Access {
    pub(crate) fn new(api: &Api) -> Access {
        Access { configured: api.token.as_ref().map(|token| Sha256::of(token.as_bytes())) }
    }

    /// Who presents this token, or nothing. Tokens are compared by what they hash to, which takes no time that would tell how much
    /// of a guess was right.
    pub(crate) fn actor(&self, given: Option<&str>) -> Result<Actor, Refusal> {
        let admin = |name: &str| Actor { name: name.to_owned(), role: Role::Admin };
        let Some(configured) = &self.configured else { return Ok(admin("dev")) };
        let Some(given) = given else {
            return Err(Refusal::new(ProblemType::NoToken, "send Authorization: Bearer and the token"));
        };
        if Sha256::of(given.as_bytes()) == *configured {
            return Ok(admin("configuration"));
        }
        Err(Refusal::new(ProblemType::WrongToken, ""))
    }
}
