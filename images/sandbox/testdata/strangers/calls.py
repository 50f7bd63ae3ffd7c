"""Every call of the sandbox, made by an unmodified boto3, with its waiters, paginators, filters and dry runs; or, with the
argument "cli", by the unmodified AWS CLI in its stead.

It gets its endpoint and credentials from the environment and a profile "target" with a role_arn, as any script does. At the
end it prints, as JSON, the calls that it has made, those that it has also made with DryRun, and the waiters and paginators
that it has used, or that its version of boto3 has for these calls but were not used. An assertion that does not hold ends it
with a traceback.

Every call of EC2 that takes DryRun is made twice: first dry, which has to tell what the real one then does.
"""
import datetime
import json
import sys

import boto3
import clicaller
from botocore.exceptions import ClientError, WaiterError

BUILD, TARGET, DEBIAN = "111111111111", "222222222222", "136693071363"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMSb9Mtr6xA5sHSnMYSX2q6Al3oWTQcrPd0fT8y5V2hY test"
QUICK = {"Delay": 0.02, "MaxAttempts": 500}
BY_CLI = sys.argv[1:] == ["cli"]
made, dry, waited, paged, could_wait, could_page = set(), set(), set(), set(), set(), set()


def record(client, profile=None):
    """Has the client note its calls, and make those of EC2 dry first; or has the AWS CLI make them."""
    service, shapes, real = client.meta.service_model.service_name, client.meta.service_model, client._make_api_call
    call = clicaller.caller(service, client.meta.region_name, profile) if BY_CLI else real

    def make(operation, parameters):
        made.add(f"{service}:{operation}")
        takes_dry = service == "ec2" and "DryRun" in shapes.operation_model(operation).input_shape.members
        told = None
        if takes_dry and "DryRun" not in parameters and not BY_CLI:
            try:
                real(operation, dict(parameters, DryRun=True))
                raise AssertionError(f"{operation} did not take DryRun for an error")
            except ClientError as e:
                told = e.response["Error"]["Code"]
        try:
            answer = call(operation, parameters)
        except ClientError as e:
            code = e.response["Error"]["Code"]
            assert told in (None, code), f"{operation} with DryRun says {told}, without {code}"
            raise
        if told:
            assert told == "DryRunOperation", f"{operation} with DryRun says {told}, without it succeeds"
            dry.add(f"{service}:{operation}")
        return answer

    client._make_api_call = make
    return client


def unused(client):
    """Notes the waiters and paginators that the client has for the calls made."""
    service = client.meta.service_model.service_name
    for name in client.waiter_names:
        if f"{service}:{client.get_waiter(name).config.operation}" in made:
            could_wait.add(f"{service}:{name}")
    for method, operation in client.meta.method_to_api_mapping.items():
        if f"{service}:{operation}" in made and client.can_paginate(method):
            could_page.add(f"{service}:{operation}")


def refused(code, call, **parameters):
    try:
        call(**parameters)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, f"{call}: {e}, not {code}"
        return None if BY_CLI else e.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"{call} succeeded; {code} was expected")


def tags(kind, **pairs):
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in pairs.items()]}]


def wait(client, name, **parameters):
    client.get_waiter(name).wait(WaiterConfig=QUICK, **parameters)
    waited.add(f"{client.meta.service_model.service_name}:{name}")


def pages(client, method, size, **parameters):
    """All pages of a list, with that many entries in each at most."""
    paged.add(f"{client.meta.service_model.service_name}:{client.meta.method_to_api_mapping[method]}")
    return list(client.get_paginator(method).paginate(PaginationConfig={"PageSize": size} if size else {}, **parameters))


def until(true):
    for _ in range(10000):
        if true():
            return
    raise AssertionError("it did not become true")


here = boto3.Session(region_name="us-east-1")
there = boto3.Session(profile_name="target", region_name="us-east-1")
ec2, ssm, sts, kms = (record(here.client(s)) for s in ("ec2", "ssm", "sts", "kms"))
target = record(there.client("ec2"), "target")
away, kms_away = record(here.client("ec2", region_name="eu-west-1")), record(here.client("kms", region_name="eu-west-1"))

# Who is who: the environment's keys, a profile with role_arn, an assumed role.
assert sts.get_caller_identity()["Account"] == BUILD
assert record(there.client("sts"), "target").get_caller_identity()["Arn"] == f"arn:aws:sts::{TARGET}:assumed-role/deploy/stranger"
creds = sts.assume_role(RoleArn=f"arn:aws:iam::{TARGET}:role/deploy", RoleSessionName="test", ExternalId="x-1", DurationSeconds=900)["Credentials"]
assert BY_CLI or creds["Expiration"] > datetime.datetime.now(datetime.timezone.utc)
assumed = boto3.client("sts", region_name="us-east-1", aws_access_key_id=creds["AccessKeyId"], aws_secret_access_key=creds["SecretAccessKey"],
                       aws_session_token=creds["SessionToken"])
assert assumed.get_caller_identity()["Account"] == TARGET
refused("ValidationError", assumed.assume_role, RoleArn=f"arn:aws:iam::{BUILD}:role/x", RoleSessionName="chained", DurationSeconds=3601)
sts.get_session_token()
wrong = boto3.client("ec2", region_name="us-east-1", aws_access_key_id="AKIANOBODY", aws_secret_access_key="no")
assert refused("AuthFailure", wrong.describe_regions) in (401, None)

# Places and network.
assert "eu-west-1" in [r["RegionName"] for r in ec2.describe_regions()["Regions"]]
zone = ec2.describe_availability_zones(Filters=[{"Name": "state", "Values": ["available"]}])["AvailabilityZones"][0]["ZoneName"]
vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
subnets = [s for page in pages(ec2, "describe_subnets", 5) for s in page["Subnets"]]
assert len(subnets) == 6
assert ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")["EnableDnsHostnames"]["Value"]
assert ec2.describe_route_tables()["RouteTables"] and ec2.describe_internet_gateways()["InternetGateways"]
group = ec2.create_security_group(GroupName="web", Description="Web", VpcId=vpc, TagSpecifications=tags("security-group", a="1"))["GroupId"]
wait(ec2, "security_group_exists", GroupIds=[group])
rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
refused("InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[rule])
assert len(ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]) == 2
out = dict(rule, FromPort=443, ToPort=443)
ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[out])
ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[out])
ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["Tags"] == [{"Key": "a", "Value": "1"}]
assert "BEGIN" in ec2.create_key_pair(KeyName="made")["KeyMaterial"]
ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=KEY.encode())
assert refused("InvalidKeyPair.Duplicate", ec2.import_key_pair, KeyName="mine", PublicKeyMaterial=KEY.encode()) in (400, None)
wait(ec2, "key_pair_exists", KeyNames=["mine", "made"])

# Instances.
base = ec2.describe_images(Owners=[DEBIAN], Filters=[{"Name": "name", "Values": ["debian-12-*"]}])["Images"][0]["ImageId"]
assert "t3.small" in [t["InstanceType"] for page in pages(ec2, "describe_instance_types", None) for t in page["InstanceTypes"]]
assert ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t3.small"]}])["InstanceTypeOfferings"]
launch = dict(ImageId=base, InstanceType="t3.small", KeyName="mine", SecurityGroupIds=[group], MinCount=1, MaxCount=1, UserData="#cloud-config\n",
              TagSpecifications=tags("instance", Name="web"))
assert refused("DryRunOperation", ec2.run_instances, DryRun=True, **launch) in (412, None)
assert refused("InvalidAMIID.Malformed", ec2.run_instances, **dict(launch, ImageId="nothing")) in (400, None)
instance = ec2.run_instances(ClientToken="once", **launch)["Instances"][0]["InstanceId"]
assert ec2.run_instances(ClientToken="once", **launch)["Instances"][0]["InstanceId"] == instance
refused("IdempotentParameterMismatch", ec2.run_instances, ClientToken="once", **dict(launch, InstanceType="t3.large"))
ids = [instance]
wait(ec2, "instance_exists", InstanceIds=ids)
wait(ec2, "instance_running", InstanceIds=ids)
wait(ec2, "instance_status_ok", InstanceIds=ids)
wait(ec2, "system_status_ok", InstanceIds=ids)
assert ec2.describe_instance_status(InstanceIds=ids)["InstanceStatuses"]
found = ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["w*"]}, {"Name": "client-token", "Values": ["once"]}])["Reservations"]
assert found[0]["Instances"][0]["InstanceId"] == instance
assert ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]["Value"]
ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": True})
refused("OperationNotPermitted", ec2.terminate_instances, InstanceIds=ids)
ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
ec2.modify_instance_metadata_options(InstanceId=instance, HttpTokens="required", HttpPutResponseHopLimit=2)
ec2.get_console_output(InstanceId=instance, Latest=True)
profile = ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": "one"})["IamInstanceProfileAssociation"]["AssociationId"]
profile = ec2.replace_iam_instance_profile_association(AssociationId=profile, IamInstanceProfile={"Name": "two"})["IamInstanceProfileAssociation"]["AssociationId"]
assert ec2.describe_iam_instance_profile_associations(AssociationIds=[profile])["IamInstanceProfileAssociations"][0]["IamInstanceProfile"]["Arn"].endswith("/two")
ec2.disassociate_iam_instance_profile(AssociationId=profile)
assert ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": ids}])["NetworkInterfaces"]
assert ec2.describe_instance_credit_specifications(InstanceIds=ids)["InstanceCreditSpecifications"]
assert ec2.describe_instance_image_metadata(InstanceIds=ids)["InstanceImageMetadata"][0]["ImageMetadata"]["ImageId"] == base
refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
ec2.reboot_instances(InstanceIds=ids)
ec2.stop_instances(InstanceIds=ids)
wait(ec2, "instance_stopped", InstanceIds=ids)
assert refused("IncorrectInstanceState", ec2.reboot_instances, InstanceIds=ids) in (400, None)
ec2.start_instances(InstanceIds=ids)
wait(ec2, "instance_running", InstanceIds=ids)

# Spot Instances.
refused("SpotMaxPriceTooLow", ec2.run_instances, InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.0001"}}, **launch)
spot = ec2.run_instances(InstanceMarketOptions={"MarketType": "spot"}, **launch)["Instances"][0]
assert spot["InstanceLifecycle"] == "spot"
wait(ec2, "spot_instance_request_fulfilled", SpotInstanceRequestIds=[spot["SpotInstanceRequestId"]])
assert [r["State"] for p in pages(ec2, "describe_spot_instance_requests", 5) for r in p["SpotInstanceRequests"]] == ["active"]
assert ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[spot["SpotInstanceRequestId"]])["CancelledSpotInstanceRequests"][0]["State"] == "cancelled"
ec2.terminate_instances(InstanceIds=[spot["InstanceId"]])
wait(ec2, "instance_terminated", InstanceIds=[spot["InstanceId"]])
ec2.create_launch_template(LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": base, "KeyName": "mine"})
fleet = ec2.create_fleet(Type="instant", TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"}, LaunchTemplateConfigs=[{
    "LaunchTemplateSpecification": {"LaunchTemplateName": "fleet", "Version": "1"}, "Overrides": [{"InstanceType": "t4g.small"}, {"InstanceType": "t3.small"}]}])
assert fleet["Errors"][0]["ErrorCode"] == "InvalidParameterValue", "the first type has another architecture"
ec2.terminate_instances(InstanceIds=fleet["Instances"][0]["InstanceIds"])
wait(ec2, "instance_terminated", InstanceIds=fleet["Instances"][0]["InstanceIds"])
ec2.delete_launch_template(LaunchTemplateName="fleet")

# Images.
refused("InvalidAMIName.Malformed", ec2.create_image, InstanceId=instance, Name="no#pe")
image = ec2.create_image(InstanceId=instance, Name="web-1", NoReboot=True, TagSpecifications=tags("image", role="web") + tags("snapshot", role="disk"))["ImageId"]
refused("InvalidAMIName.Duplicate", ec2.create_image, InstanceId=instance, Name="web-1", NoReboot=True)
wait(ec2, "image_exists", ImageIds=[image])
wait(ec2, "image_available", ImageIds=[image])
about = ec2.describe_images(ImageIds=[image])["Images"][0]
snapshot = about["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
wait(ec2, "snapshot_completed", SnapshotIds=[snapshot])
assert [e["ImageId"] for e in ec2.get_image_ancestry(ImageId=image)["ImageAncestryEntries"]] == [image, base]
refused("InvalidSnapshot.InUse", ec2.delete_snapshot, SnapshotId=snapshot)
refused("InvalidAMIID.NotFound", target.describe_images, ImageIds=[image])
ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": TARGET}]})
assert ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"] == [{"UserId": TARGET}]
shared = target.describe_images(ImageIds=[image])["Images"][0]
assert shared["OwnerId"] == BUILD and "Tags" not in shared, "tags are invisible to others"
assert target.describe_images(ExecutableUsers=["self"])["Images"][0]["ImageId"] == image
target.cancel_image_launch_permission(ImageId=image)
refused("InvalidAMIID.NotFound", target.describe_images, ImageIds=[image])
ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": TARGET}]})
refused("InvalidRequest", target.copy_image, Name="mine", SourceImageId=image, SourceRegion="us-east-1")
ec2.modify_snapshot_attribute(SnapshotId=snapshot, OperationType="add", UserIds=[TARGET])
assert ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")["CreateVolumePermissions"] == [{"UserId": TARGET}]
mine = target.copy_image(Name="mine", SourceImageId=image, SourceRegion="us-east-1")["ImageId"]
wait(target, "image_available", ImageIds=[mine])
copied = away.copy_image(Name="web-1", SourceImageId=image, SourceRegion="us-east-1", CopyImageTags=True)["ImageId"]
wait(away, "image_available", ImageIds=[copied])
assert away.describe_images(ImageIds=[copied])["Images"][0]["Tags"] == [{"Key": "role", "Value": "web"}]
copy = away.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=snapshot)["SnapshotId"]
wait(away, "snapshot_completed", SnapshotIds=[copy])
registered = ec2.register_image(Name="web-2", RootDeviceName="/dev/xvda", BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}])["ImageId"]
assert {i["ImageId"] for p in pages(ec2, "describe_images", 1, Owners=["self"]) for i in p["Images"]} == {image, registered}
soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
ec2.enable_image_deprecation(ImageId=image, DeprecateAt=soon)
assert ec2.describe_images(ImageIds=[image])["Images"][0]["DeprecationTime"][17:19] == "00"
ec2.disable_image_deprecation(ImageId=image)
ec2.enable_image_deregistration_protection(ImageId=image)
refused("OperationNotPermitted", ec2.deregister_image, ImageId=image)
ec2.disable_image_deregistration_protection(ImageId=image)
ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"OrganizationArn": f"arn:aws:organizations::{BUILD}:organization/o-abcdefghij"}]})
ec2.disable_image(ImageId=image)
assert "LaunchPermissions" not in ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission") or \
    not ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"], "disabling drops shares"
refused("InvalidAMIID.Unavailable", ec2.run_instances, **dict(launch, ImageId=image))
ec2.enable_image(ImageId=image)
assert ec2.describe_image_references(ImageIds=[base], IncludeAllResourceTypes=True)["ImageReferences"]
report = ec2.create_image_usage_report(ImageId=image, ResourceTypes=[{"ResourceType": "ec2:Instance"}])["ReportId"]
wait(ec2, "image_usage_report_available", ReportIds=[report])
ec2.describe_image_usage_reports(ReportIds=[report])
ec2.describe_image_usage_report_entries(ReportIds=[report])
ec2.delete_image_usage_report(ReportId=report)
ec2.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")
ec2.replace_image_criteria_in_allowed_images_settings(ImageCriteria=[{"ImageProviders": ["none"]}])
assert ec2.get_allowed_images_settings()["ImageCriteria"] == [{"ImageProviders": ["none"]}]
assert ec2.describe_images(ImageIds=[base])["Images"] == []
ec2.disable_allowed_images_settings()
ec2.get_image_block_public_access_state()
ec2.enable_image_block_public_access(ImageBlockPublicAccessState="block-new-sharing")
refused("OperationNotPermitted", ec2.modify_image_attribute, ImageId=image, LaunchPermission={"Add": [{"Group": "all"}]})
ec2.disable_image_block_public_access()
ec2.get_snapshot_block_public_access_state()
ec2.enable_snapshot_block_public_access(State="block-all-sharing")
ec2.disable_snapshot_block_public_access()

# Tags, volumes, snapshots.
ec2.create_tags(Resources=[image, snapshot], Tags=[{"Key": "more", "Value": "1"}])
refused("InvalidAMIID.NotFound", ec2.create_tags, Resources=["ami-00000000"], Tags=[{"Key": "a", "Value": "b"}])
refused("TagLimitExceeded", ec2.create_tags, Resources=[image], Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
assert len(ec2.describe_tags(Filters=[{"Name": "key", "Values": ["more"]}])["Tags"]) == 2
ec2.delete_tags(Resources=[image, snapshot], Tags=[{"Key": "more"}])
volume = ec2.create_volume(AvailabilityZone=zone, SnapshotId=snapshot)["VolumeId"]
wait(ec2, "volume_available", VolumeIds=[volume])
wait(ec2, "volume_in_use", Filters=[{"Name": "attachment.instance-id", "Values": ids}])
assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["SnapshotId"] == snapshot
refused("IncorrectState", ec2.detach_volume, VolumeId=volume)
host = ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"][0]
local = ec2.create_volume(AvailabilityZone=host["Placement"]["AvailabilityZone"], Size=1)["VolumeId"]
wait(ec2, "volume_available", VolumeIds=[local])
ec2.attach_volume(VolumeId=local, InstanceId=host["InstanceId"], Device="/dev/sdf")
wait(ec2, "volume_in_use", VolumeIds=[local])
ec2.detach_volume(VolumeId=local)
wait(ec2, "volume_available", VolumeIds=[local])
ec2.delete_volume(VolumeId=local)
snap = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
wait(ec2, "snapshot_completed", SnapshotIds=[snap])
assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 2
ec2.delete_snapshot(SnapshotId=snap)
refused("InvalidSnapshot.NotFound", ec2.describe_snapshots, SnapshotIds=[snap])
both = ec2.create_snapshots(InstanceSpecification={"InstanceId": host["InstanceId"]}, CopyTagsFromSource="volume", TagSpecifications=tags("snapshot", b="2"))["Snapshots"]
assert [s["Tags"] for s in both] == [[{"Key": "b", "Value": "2"}]], both
wait(ec2, "snapshot_completed", SnapshotIds=[both[0]["SnapshotId"]])
ec2.delete_snapshot(SnapshotId=both[0]["SnapshotId"])
ec2.delete_volume(VolumeId=volume)
wait(ec2, "volume_deleted", VolumeIds=[volume])

# Parameters.
name = "/imgops/acme/web"
ssm.put_parameter(Name=name, Value=image, Type="String", DataType="aws:ec2:image", Tags=[{"Key": "a", "Value": "1"}])


def current():
    try:
        return ssm.get_parameter(Name=name)["Parameter"]["Value"] == image
    except ssm.exceptions.ParameterNotFound:
        return False


until(current)
refused("ParameterAlreadyExists", ssm.put_parameter, Name=name, Value=image, Type="String", DataType="aws:ec2:image")
refused("ValidationException", ssm.put_parameter, Name=name, Value=image, Overwrite=True, Tags=[{"Key": "a", "Value": "1"}])
ssm.label_parameter_version(Name=name, Labels=["stable", "gone"])
assert ssm.get_parameter(Name=name + ":stable")["Parameter"]["Version"] == 1
assert ssm.unlabel_parameter_version(Name=name, ParameterVersion=1, Labels=["gone", "none"])["RemovedLabels"] == ["gone"]
assert ssm.get_parameters(Names=[name, "/none"])["InvalidParameters"] == ["/none"]
for n in range(3):
    ssm.put_parameter(Name=f"/list/{n}", Value=str(n), Type="String", Tier="Standard")
assert [p["Value"] for page in pages(ssm, "get_parameters_by_path", 1, Path="/list") for p in page["Parameters"]] == ["0", "1", "2"]
assert len([p for page in pages(ssm, "describe_parameters", 2) for p in page["Parameters"]]) == 4
assert ssm.get_parameter_history(Name=name)["Parameters"][0]["Labels"] == ["stable"]
ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=name, Tags=[{"Key": "b", "Value": "2"}])
ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId=name, TagKeys=["a"])
assert ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"] == [{"Key": "b", "Value": "2"}]

# Launch templates.
template = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": "resolve:ssm:" + name, "InstanceType": "t3.small"})["LaunchTemplate"]
lt = {"LaunchTemplateId": template["LaunchTemplateId"]}
ec2.create_launch_template_version(SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.large"}, **lt)
assert ec2.describe_launch_template_versions(ResolveAlias=True, Versions=["$Latest"], **lt)["LaunchTemplateVersions"][0]["LaunchTemplateData"]["ImageId"] == image
ec2.modify_launch_template(DefaultVersion="2", **lt)
second = ec2.run_instances(MinCount=1, MaxCount=1, LaunchTemplate=lt)["Instances"][0]
assert second["ImageId"] == image and second["InstanceType"] == "t3.large"
ids.append(second["InstanceId"])
ec2.delete_launch_template_versions(Versions=["1"], **lt)
assert len(ec2.describe_launch_templates()["LaunchTemplates"]) == 1
ec2.delete_launch_template(**lt)

# Keys.
key = kms.create_key(Description="images", Tags=[{"TagKey": "a", "TagValue": "1"}])["KeyMetadata"]["KeyId"]
kms.create_alias(AliasName="alias/images", TargetKeyId=key)
kms.update_alias(AliasName="alias/images", TargetKeyId=key)
assert "alias/aws/ebs" in [a["AliasName"] for page in pages(kms, "list_aliases", 1) for a in page["Aliases"]]
assert kms.describe_key(KeyId="alias/images")["KeyMetadata"]["KeyId"] == key
grant = kms.create_grant(KeyId=key, GranteePrincipal=f"arn:aws:iam::{TARGET}:root", Operations=["Decrypt", "DescribeKey", "RetireGrant"])["GrantId"]
other = kms.create_grant(KeyId=key, GranteePrincipal=f"arn:aws:iam::{TARGET}:root", Operations=["Decrypt"])
assert len(kms.list_grants(KeyId=key)["Grants"]) == 2
kms.revoke_grant(KeyId=key, GrantId=grant)
kms.retire_grant(GrantToken=other["GrantToken"])
kms.put_key_policy(KeyId=key, PolicyName="default", Policy=kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
assert kms.list_key_policies(KeyId=key)["PolicyNames"] == ["default"]
kms.update_key_description(KeyId=key, Description="disks")
kms.enable_key_rotation(KeyId=key)
assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
kms.disable_key_rotation(KeyId=key)
kms.tag_resource(KeyId=key, Tags=[{"TagKey": "b", "TagValue": "2"}])
kms.untag_resource(KeyId=key, TagKeys=["a"])
assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "b", "TagValue": "2"}]
assert len(kms.list_keys()["Keys"]) == 3
multi = kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
assert kms.replicate_key(KeyId=multi, ReplicaRegion="eu-west-1")["ReplicaKeyMetadata"]["MultiRegionConfiguration"]["MultiRegionKeyType"] == "REPLICA"
kms.update_primary_region(KeyId=multi, PrimaryRegion="eu-west-1")
assert kms_away.describe_key(KeyId=multi)["KeyMetadata"]["MultiRegionConfiguration"]["MultiRegionKeyType"] == "PRIMARY"
encrypted = ec2.copy_image(Name="locked", SourceImageId=image, SourceRegion="us-east-1", Encrypted=True, KmsKeyId="alias/images")["ImageId"]
wait(ec2, "image_available", ImageIds=[encrypted])
kms.disable_key(KeyId=key)
bad = ec2.copy_image(Name="bad", SourceImageId=image, SourceRegion="us-east-1", Encrypted=True, KmsKeyId="alias/images")["ImageId"]
try:
    wait(ec2, "image_available", ImageIds=[bad])
    raise AssertionError("an image was copied with a disabled key")
except WaiterError:
    assert ec2.describe_images(ImageIds=[bad])["Images"][0]["StateReason"]["Message"]
kms.enable_key(KeyId=key)
ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)
assert ec2.get_ebs_default_kms_key_id()["KmsKeyId"].endswith(key)
ec2.reset_ebs_default_kms_key_id()
ec2.enable_ebs_encryption_by_default()
assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]
ec2.disable_ebs_encryption_by_default()
kms.delete_alias(AliasName="alias/images")
kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
kms.cancel_key_deletion(KeyId=key)

# The waiters and the pages that have not had their turn.
wait(ec2, "vpc_available", VpcIds=[vpc])
wait(ec2, "vpc_exists", VpcIds=[vpc])
wait(ec2, "subnet_available", SubnetIds=[subnets[0]["SubnetId"]])
wait(ec2, "internet_gateway_exists", InternetGatewayIds=[ec2.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"]])
needs = {
    "GetParameterHistory": {"Name": name}, "GetParametersByPath": {"Path": "/"}, "ListGrants": {"KeyId": key}, "ListKeyPolicies": {"KeyId": key},
    "ListResourceTags": {"KeyId": key}, "DescribeImageReferences": {"ImageIds": [base], "IncludeAllResourceTypes": True},
    "DescribeLaunchTemplateVersions": {"Versions": ["$Latest"]},
}
for client in ec2, ssm, kms:
    service = client.meta.service_model.service_name
    for method, operation in client.meta.method_to_api_mapping.items():
        if f"{service}:{operation}" in made and client.can_paginate(method) and f"{service}:{operation}" not in paged:
            assert pages(client, method, 5, **needs.get(operation, {}))
    unused(client)

# What is not there says so, by name.
refused("InvalidAction", ec2.describe_spot_price_history)

# And away with it all.
ssm.delete_parameter(Name=name)
assert len(ssm.delete_parameters(Names=["/list/0", "/list/1", "/list/2", "/none"])["InvalidParameters"]) == 1
ec2.terminate_instances(InstanceIds=ids)
wait(ec2, "instance_terminated", InstanceIds=ids)
results = ec2.deregister_image(ImageId=registered, DeleteAssociatedSnapshots=True)["DeleteSnapshotResults"]
assert results == [{"SnapshotId": snapshot, "ReturnCode": "skipped"}], results
ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
refused("InvalidAMIID.Unavailable", ec2.deregister_image, ImageId=image)
for k in ("mine", "made"):
    ec2.delete_key_pair(KeyName=k)
assert not ec2.describe_key_pairs()["KeyPairs"]
ec2.delete_security_group(GroupId=group)

json.dump({"Made": sorted(made), "Dry": sorted(dry), "NotWaited": sorted(could_wait - waited), "NotPaged": sorted(could_page - paged)}, sys.stdout)
