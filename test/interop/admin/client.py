"""A gRPC client that knows nothing of Herald: contracts by reflection, error details by googleapis. One JSON object a line.

client.py TARGET services
client.py TARGET call METHOD JSON
"""

import json
import sys

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status


def say(**what):
    print(json.dumps(what), flush=True)


def details_of(error):
    status = rpc_status.from_call(error)
    found = {}
    for detail in [] if status is None else status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            found.update(reason=info.reason, domain=info.domain)
        elif detail.Unpack(bad):
            found.update(field=bad.field_violations[0].field)
    return found


def call(channel, database, method, text):
    service, name = method.split("/")
    described = DescriptorPool(database).FindServiceByName(service).FindMethodByName(name)
    request = message_factory.GetMessageClass(described.input_type)()
    response = message_factory.GetMessageClass(described.output_type)
    json_format.Parse(text, request)
    invoke = channel.unary_unary(
        "/" + method, request_serializer=lambda it: it.SerializeToString(), response_deserializer=response.FromString
    )
    try:
        say(answer=json_format.MessageToDict(invoke(request), preserving_proto_field_name=True))
    except grpc.RpcError as error:
        say(code=error.code().name, **details_of(error))


def main():
    target, what, *rest = sys.argv[1:]
    with grpc.insecure_channel(target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        if what == "services":
            say(services=sorted(database.get_services()))
        else:
            call(channel, database, *rest)


main()
