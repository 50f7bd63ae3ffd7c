"""Makes calls by the AWS CLI: the real one, driven in this process so that a few hundred calls do not take minutes."""
import contextlib
import io
import json
import re

from botocore.exceptions import ClientError


def plain(value):
    """The value as the CLI takes it in JSON."""
    if isinstance(value, (bytes, bytearray)):
        return value.decode()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def caller(service, region, profile):
    import awscli
    from awscli.clidriver import create_clidriver
    from botocore import xform_name

    drivers = {}  # one for each operation: some of the CLI's operations leave handlers behind that disturb others

    def driver(operation):
        if operation not in drivers:
            drivers[operation] = create_clidriver()
            loader = next(iter(drivers.values())).session.get_component("data_loader")
            drivers[operation].session.register_component("data_loader", loader)  # which has read the services' descriptions
        return drivers[operation]
    def call(operation, parameters):
        args = [service, xform_name(operation, "-"), "--region", region, "--output", "json", "--no-paginate", "--cli-input-json", json.dumps(plain(parameters))]
        if not awscli.__version__.startswith("1."):
            args += ["--cli-binary-format", "raw-in-base64-out"]  # as version 1 always takes bytes
        if profile:
            args += ["--profile", profile]
        out, errs = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errs):
            try:
                status = driver(operation).main(args)
            except SystemExit as e:
                status = e.code
        out.flush()
        text = out.buffer.getvalue().decode()
        if status:
            found = re.search(r"An error occurred \(([\w.]+)\) when calling the (\w+) operation: (.*)", errs.getvalue())
            assert found, f"aws {' '.join(args)}: status {status}: {errs.getvalue()}"
            raise ClientError({"Error": {"Code": found[1], "Message": found[3]}, "ResponseMetadata": {"HTTPStatusCode": None}}, operation)
        return dict(json.loads(text) if text.strip() else {}, ResponseMetadata={"HTTPStatusCode": 200})

    return call
