#!/bin/sh
# A day with the AWS CLI against the sandbox: nothing but the environment and a profile with a role_arn leads it there.
set -eu

refused() { # refused CODE COMMAND...: the command fails with that error code
	code=$1
	shift
	if text=$("$@" 2>&1); then
		echo "$* succeeded; $code was expected" >&2
		exit 1
	fi
	case $text in
	*"($code)"*) ;;
	*)
		echo "$*: $text; $code was expected" >&2
		exit 1
		;;
	esac
}

equal() { # equal WANT GOT
	[ "$1" = "$2" ] || {
		echo "want '$1', got '$2'" >&2
		exit 1
	}
}

ec2() { aws --output text ec2 "$@"; }

equal 111111111111 "$(aws --output text sts get-caller-identity --query Account)"
equal 222222222222 "$(aws --profile target --output text sts get-caller-identity --query Account)"

base=$(ec2 describe-images --owners 136693071363 --filters 'Name=name,Values=debian-12-*' --query 'sort_by(Images,&CreationDate)[-1].ImageId')
refused DryRunOperation ec2 run-instances --dry-run --image-id "$base" --instance-type t3.small
instance=$(ec2 run-instances --image-id "$base" --instance-type t3.small --query 'Instances[0].InstanceId' \
	--tag-specifications 'ResourceType=instance,Tags=[{Key=Name,Value=cli}]' --metadata-options HttpTokens=required)
ec2 wait instance-running --instance-ids "$instance"
equal "$instance" "$(ec2 describe-instances --filters Name=tag:Name,Values=cli Name=instance-state-name,Values=running --query 'Reservations[].Instances[].InstanceId')"

image=$(ec2 create-image --instance-id "$instance" --name cli-1 --no-reboot --query ImageId \
	--tag-specifications 'ResourceType=image,Tags=[{Key=role,Value=web}]' 'ResourceType=snapshot,Tags=[{Key=role,Value=web}]')
ec2 wait image-available --image-ids "$image"
refused InvalidAMIName.Duplicate ec2 create-image --instance-id "$instance" --name cli-1 --no-reboot
refused InvalidAMIID.NotFound ec2 describe-images --profile target --image-ids "$image"
ec2 modify-image-attribute --image-id "$image" --launch-permission 'Add=[{UserId=222222222222}]'
equal "$image" "$(ec2 describe-images --profile target --executable-users self --query 'Images[].ImageId')"
refused AuthFailure ec2 modify-image-attribute --profile target --image-id "$image" --description mine

aws ssm put-parameter --name /imgops/acme/web --type String --data-type aws:ec2:image --value "$image" >/dev/null
equal "$image" "$(aws --output text ssm get-parameter --name /imgops/acme/web --query Parameter.Value)"
second=$(ec2 run-instances --image-id resolve:ssm:/imgops/acme/web --instance-type t3.small --query 'Instances[0].ImageId')
equal "$image" "$second"

copied=$(ec2 copy-image --region eu-west-1 --source-region us-east-1 --source-image-id "$image" --name cli-1 --copy-image-tags --query ImageId)
ec2 wait image-available --region eu-west-1 --image-ids "$copied"
equal web "$(ec2 describe-images --region eu-west-1 --image-ids "$copied" --query 'Images[0].Tags[0].Value')"

key=$(aws --output text kms create-key --query KeyMetadata.KeyId)
aws kms create-alias --alias-name alias/cli --target-key-id "$key"
equal "$key" "$(aws --output text kms describe-key --key-id alias/cli --query KeyMetadata.KeyId)"

ec2 disable-image --image-id "$image" >/dev/null
refused InvalidAMIID.Unavailable ec2 run-instances --image-id "$image" --instance-type t3.small
ec2 deregister-image --image-id "$image" --delete-associated-snapshots >/dev/null
refused InvalidAMIID.Unavailable ec2 deregister-image --image-id "$image"
ec2 terminate-instances --instance-ids "$instance" >/dev/null
ec2 wait instance-terminated --instance-ids "$instance"
refused InvalidAction ec2 describe-spot-price-history --max-items 1
echo all is well
