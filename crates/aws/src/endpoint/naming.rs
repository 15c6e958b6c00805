//! AWS's own host names: by service, region and partition, in the plain form and in the FIPS and dual-stack ones.

use super::Service;
use crate::environment::Environment;
use crate::shared_config::{Sections, SharedFiles, profile_name};

/// Which of a service's endpoints in a region is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Variant {
    /// With cryptography validated by FIPS 140.
    pub fips: bool,
    /// Reachable over IPv6 as well as IPv4.
    pub dual_stack: bool,
}

impl Variant {
    /// `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT`, or the keys of the same names in the profile.
    pub fn of(profile: Option<&str>, environment: &Environment) -> Self {
        let config = SharedFiles::locate(environment)
            .config
            .and_then(|path| Sections::read(&path).ok().flatten());
        let name = profile_name(profile, environment);
        let wanted = |variable: &str, key: &str| match environment.variable(variable) {
            Some(_) => environment.says_true(variable),
            None => config
                .as_ref()
                .and_then(|config| config.in_config(&name, key))
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
        };
        Self {
            fips: wanted("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
            dual_stack: wanted("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
        }
    }

    /// The variant in words, for people.
    pub fn text(self) -> &'static str {
        match (self.fips, self.dual_stack) {
            (false, false) => "AWS's name of the service in this region",
            (true, false) => "AWS's FIPS endpoint of the service in this region",
            (false, true) => "AWS's dual-stack endpoint of the service in this region",
            (true, true) => "AWS's dual-stack FIPS endpoint of the service in this region",
        }
    }
}

struct Partition {
    /// How its regions begin.
    prefix: &'static str,
    /// The ending of host names.
    suffix: &'static str,
    /// Their ending where both families of addresses are spoken.
    dual_stack: &'static str,
}

/// Fluent Bit's table of regions, with the dual-stack endings of AWS's SDKs. GovCloud has commercial names.
const PARTITIONS: [Partition; 6] = [
    Partition::new("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    Partition::new("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    Partition::new("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    Partition::new("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    Partition::new("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    Partition::new("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
];
const COMMERCIAL: Partition = Partition::new("", "amazonaws.com", "api.aws");

/// Services whose plain endpoints in GovCloud are the FIPS ones.
const FIPS_BY_NATURE_IN_GOVCLOUD: [&str; 5] = ["kinesis", "logs", "sts", "portal.sso", "oidc"];

impl Partition {
    const fn new(prefix: &'static str, suffix: &'static str, dual_stack: &'static str) -> Self {
        Self {
            prefix,
            suffix,
            dual_stack,
        }
    }

    fn of(region: &str) -> &'static Self {
        let found = PARTITIONS
            .iter()
            .find(|partition| region.starts_with(partition.prefix));
        found.unwrap_or(&COMMERCIAL)
    }
}

/// The host name of a service's endpoint; an error if AWS has none of this kind.
pub(super) fn host(
    service: Service,
    region: &str,
    variant: Variant,
) -> Result<String, &'static str> {
    let (name, partition) = (service.name(), Partition::of(region));
    if service == Service::S3 {
        if variant.fips && partition.prefix == "cn-" {
            return Err("S3 has no FIPS endpoints in China");
        }
        let fips = if variant.fips { "-fips" } else { "" };
        let stack = if variant.dual_stack { ".dualstack" } else { "" };
        return Ok(format!("{name}{fips}{stack}.{region}.{}", partition.suffix));
    }
    let by_nature = region.starts_with("us-gov-") && FIPS_BY_NATURE_IN_GOVCLOUD.contains(&name);
    let fips = match variant {
        Variant { fips: false, .. } => "",
        Variant { dual_stack, .. } if by_nature && !dual_stack => "",
        _ => "-fips",
    };
    let suffix = match variant.dual_stack {
        true => partition.dual_stack,
        false => partition.suffix,
    };
    Ok(format!("{name}{fips}.{region}.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(service: Service, region: &str, letters: &str) -> String {
        let variant = Variant {
            fips: letters.contains('f'),
            dual_stack: letters.contains('d'),
        };
        host(service, region, variant).unwrap_or_else(str::to_owned)
    }

    #[test]
    fn hosts_follow_the_partition_of_the_region() {
        let cases = [
            ("us-east-1", "firehose.us-east-1.amazonaws.com"),
            ("us-gov-west-1", "firehose.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "firehose.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "firehose.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "firehose.us-isob-east-1.sc2s.sgov.gov"),
            ("us-isof-south-1", "firehose.us-isof-south-1.csp.hci.ic.gov"),
            ("eu-isoe-west-1", "firehose.eu-isoe-west-1.cloud.adc-e.uk"),
            ("eusc-de-east-1", "firehose.eusc-de-east-1.amazonaws.eu"),
        ];
        for (region, expected) in cases {
            assert_eq!(of(Service::FIREHOSE, region, ""), expected);
        }
    }

    /// As AWS's own rule sets of the services resolve them.
    #[test]
    fn variants_are_named_as_aws_names_them() {
        use Service as S;
        let cases = [
            (
                S::FIREHOSE,
                "eu-central-1",
                "f",
                "firehose-fips.eu-central-1.amazonaws.com",
            ),
            (
                S::FIREHOSE,
                "eu-central-1",
                "d",
                "firehose.eu-central-1.api.aws",
            ),
            (
                S::FIREHOSE,
                "eu-central-1",
                "fd",
                "firehose-fips.eu-central-1.api.aws",
            ),
            (
                S::FIREHOSE,
                "us-gov-west-1",
                "f",
                "firehose-fips.us-gov-west-1.amazonaws.com",
            ),
            (
                S::FIREHOSE,
                "cn-north-1",
                "d",
                "firehose.cn-north-1.api.amazonwebservices.com.cn",
            ),
            (
                S::FIREHOSE,
                "us-isob-east-1",
                "d",
                "firehose.us-isob-east-1.api.aws.scloud",
            ),
            (
                S::FIREHOSE,
                "us-iso-east-1",
                "d",
                "firehose.us-iso-east-1.api.aws.ic.gov",
            ),
            (
                S::FIREHOSE,
                "us-isof-south-1",
                "d",
                "firehose.us-isof-south-1.api.aws.hci.ic.gov",
            ),
            (
                S::FIREHOSE,
                "eu-isoe-west-1",
                "d",
                "firehose.eu-isoe-west-1.api.cloud-aws.adc-e.uk",
            ),
            (
                S::FIREHOSE,
                "eusc-de-east-1",
                "d",
                "firehose.eusc-de-east-1.api.amazonwebservices.eu",
            ),
            (
                S::CLOUDWATCH_LOGS,
                "us-west-2",
                "f",
                "logs-fips.us-west-2.amazonaws.com",
            ),
            (
                S::CLOUDWATCH_LOGS,
                "us-gov-east-1",
                "f",
                "logs.us-gov-east-1.amazonaws.com",
            ),
            (
                S::CLOUDWATCH_LOGS,
                "us-gov-east-1",
                "fd",
                "logs-fips.us-gov-east-1.api.aws",
            ),
            (
                S::KINESIS,
                "us-gov-west-1",
                "f",
                "kinesis.us-gov-west-1.amazonaws.com",
            ),
            (S::STS, "us-gov-west-1", "d", "sts.us-gov-west-1.api.aws"),
            (
                S::SSO,
                "eu-west-1",
                "f",
                "portal.sso-fips.eu-west-1.amazonaws.com",
            ),
            (S::SSO_OIDC, "eu-west-1", "", "oidc.eu-west-1.amazonaws.com"),
            (S::S3, "us-east-1", "", "s3.us-east-1.amazonaws.com"),
            (S::S3, "us-east-1", "f", "s3-fips.us-east-1.amazonaws.com"),
            (
                S::S3,
                "us-east-1",
                "d",
                "s3.dualstack.us-east-1.amazonaws.com",
            ),
            (
                S::S3,
                "us-gov-west-1",
                "fd",
                "s3-fips.dualstack.us-gov-west-1.amazonaws.com",
            ),
            (
                S::S3,
                "cn-north-1",
                "d",
                "s3.dualstack.cn-north-1.amazonaws.com.cn",
            ),
            (
                S::S3,
                "cn-north-1",
                "f",
                "S3 has no FIPS endpoints in China",
            ),
        ];
        for (service, region, letters, expected) in cases {
            assert_eq!(of(service, region, letters), expected, "{letters}");
        }
    }

    #[test]
    fn variables_come_before_the_profile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let text =
            "[default]\nuse_fips_endpoint = true\n[profile dev]\nuse_dualstack_endpoint = True\n";
        std::fs::write(&path, text).unwrap();
        let file = ("AWS_CONFIG_FILE", path.to_str().unwrap());
        let fips = |value| ("AWS_USE_FIPS_ENDPOINT", value);
        let dual_stack = ("AWS_USE_DUALSTACK_ENDPOINT", "true");
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, (bool, bool));
        let cases: [Case<'_>; 6] = [
            (&[], None, (false, false)),
            (&[file], None, (true, false)),
            (&[file], Some("dev"), (false, true)),
            (&[file, fips("false")], None, (false, false)),
            (&[file, fips("TRUE"), dual_stack], Some("dev"), (true, true)),
            (&[fips("yes")], None, (false, false)),
        ];
        for (variables, profile, expected) in cases {
            let environment = Environment::fixed(variables.iter().copied());
            let found = Variant::of(profile, &environment);
            assert_eq!((found.fips, found.dual_stack), expected, "{variables:?}");
        }
    }
}
