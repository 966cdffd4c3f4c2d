//! Refusals of storage services by their codes: the reason in words, and the remedy.
//!
//! Takes the text of an error, gives the refusal that it states, if it is a known one. Some arrive with the status of a
//! wrong request, or in the answer to a list, where the client ignores the status.

/// A refusal that a person can remedy.
#[derive(Debug)]
pub(super) struct ServiceRefusal {
    /// Texts of which the error has at least one.
    codes: &'static [&'static str],
    /// Fits after "could not …:".
    pub why: &'static str,
    pub advice: &'static str,
}

/// The rights on a bucket of AWS.
const RIGHTS: &str = "allow s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject to the owner of AWS_ACCESS_KEY_ID, to the profile or to the role";

/// The first one that fits counts.
const REFUSALS: &[ServiceRefusal] = &[
    ServiceRefusal {
        // The address at which the client asks the machine for the credentials of its role.
        codes: &["169.254.169.254/latest"],
        why: "no credentials for the bucket were found: AWS_ACCESS_KEY_ID is not set, and the role of this machine, which was asked, gave none",
        advice: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `profile` under [destination.s3]",
    },
    ServiceRefusal {
        codes: &["KMS."],
        why: "the key of the encryption cannot be used",
        advice: "check destination.s3.kms_key: the key must be enabled, and be in the region of the bucket",
    },
    ServiceRefusal {
        codes: &["kms:GenerateDataKey", "kms:Decrypt", "kms:Encrypt"],
        why: "the credentials may not use the key of the encryption",
        advice: "allow kms:GenerateDataKey and kms:Decrypt on the key of destination.s3.kms_key",
    },
    ServiceRefusal {
        codes: &["ExpiredToken", "TokenRefreshRequired"],
        why: "the session token has expired",
        advice: "set new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or renew the profile",
    },
    ServiceRefusal {
        codes: &["InvalidToken"],
        why: "the session token is not valid",
        advice: "AWS_SESSION_TOKEN belongs to the keys that came with it: set all three, or the keys alone",
    },
    ServiceRefusal {
        codes: &["InvalidAccessKeyId"],
        why: "the service does not know the access key",
        advice: "check AWS_ACCESS_KEY_ID or the profile, and destination.s3.endpoint",
    },
    ServiceRefusal {
        codes: &["SignatureDoesNotMatch"],
        why: "the secret key does not belong to the access key, or requests are changed on their way",
        advice: "check AWS_SECRET_ACCESS_KEY or the profile, and destination.s3.region",
    },
    ServiceRefusal {
        codes: &["AuthorizationHeaderMalformed"],
        why: "the bucket is in another region",
        advice: "set `region` under [destination.s3], or AWS_REGION",
    },
    ServiceRefusal {
        codes: &["NoSuchBucket"],
        why: "the bucket does not exist",
        advice: "create it, or correct destination.url; destination.s3.endpoint or AWS_ENDPOINT_URL names the service",
    },
    ServiceRefusal {
        codes: &["RequestTimeTooSkewed"],
        why: "the clock of this machine differs too much from the service's",
        advice: "set this machine's clock (NTP)",
    },
    ServiceRefusal {
        codes: &["KeyBasedAuthenticationNotPermitted"],
        why: "the account accepts no keys and no signatures made with them",
        advice: "use Microsoft Entra ID: AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET, or the identity of the machine",
    },
    ServiceRefusal {
        codes: &["AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"],
        why: "the service does not accept the key, the signature or the token: it is wrong, it has expired, or the clock of this machine is",
        advice: "check AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, destination.azure.account and this machine's clock",
    },
    ServiceRefusal {
        codes: &[
            "AuthorizationPermissionMismatch",
            "AuthorizationFailure",
            "AuthorizationResourceTypeMismatch",
            "AuthorizationServiceMismatch",
            "AuthorizationSourceIPMismatch",
            "InsufficientAccountPermissions",
            "PublicAccessNotPermitted",
        ],
        why: "the credentials do not allow it",
        advice: "grant the role Storage Blob Data Contributor, or let AZURE_STORAGE_SAS_TOKEN have the permissions racwdl on the container; check the network rules of the account",
    },
    ServiceRefusal {
        codes: &["ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"],
        why: "the container does not exist",
        advice: "create it, or correct destination.url; destination.azure.account names the account",
    },
    ServiceRefusal {
        codes: &["AccountIsDisabled"],
        why: "the storage account is disabled",
        advice: "enable it, or correct destination.azure.account",
    },
    ServiceRefusal {
        codes: &["BlobImmutableDueToPolicy"],
        why: "a policy of the container keeps objects from being changed or deleted",
        advice: "remove the policy, or use another container in destination.url",
    },
    ServiceRefusal { codes: &["AccessDenied"], why: "the credentials do not allow it", advice: RIGHTS },
    ServiceRefusal {
        codes: &["NotImplemented"],
        why: "the service does not implement a part of the request",
        advice: "leave `encryption` under [destination.s3] out if it is set, or use another service",
    },
];

/// The refusal that the text of an error states.
pub(super) fn refusal(text: &str) -> Option<&'static ServiceRefusal> {
    REFUSALS.iter().find(|refusal| refusal.codes.iter().any(|code| text.contains(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_particular_refusal_counts() {
        let answer =
            |code: &str, message: &str| format!("400: <Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let why = |text: &str| refusal(text).map(|refusal| refusal.why);
        let denied = "User: x is not authorized to perform: kms:GenerateDataKey on resource: y";
        assert_eq!(why(&answer("AccessDenied", denied)), Some("the credentials may not use the key of the encryption"));
        assert_eq!(why(&answer("AccessDenied", "Access Denied")), Some("the credentials do not allow it"));
        let disabled = answer("KMS.DisabledException", "the key is disabled");
        assert_eq!(why(&disabled), Some("the key of the encryption cannot be used"));
        let role =
            "Error performing PUT http://169.254.169.254/latest/api/token in 3s, after 6 retries - 403 Forbidden";
        assert!(why(role).unwrap().starts_with("no credentials for the bucket were found"));
        assert_eq!(why(&answer("SlowDown", "Please reduce your request rate")), None);
    }
}
