// The parser of each protocol (see startup_parser.h for what they share), and the source of its facts. Pure.
#pragma once

#include <memory>

#include "net/startup_parser.h"

namespace stockade::net {

std::unique_ptr<StartupParser> make_postgresql_startup();  // PostgreSQL 17, "Frontend/Backend Protocol", 53.2 and 53.7
std::unique_ptr<StartupParser> make_mysql_startup();       // MySQL internals, "Connection Phase"; MariaDB's the same
std::unique_ptr<StartupParser> make_redis_startup();       // RESP2, RESP3 and inline commands
std::unique_ptr<StartupParser> make_mongodb_startup();     // "MongoDB Wire Protocol", "MongoDB Handshake"; bsonspec.org
std::unique_ptr<StartupParser> make_smtp_startup();        // RFC 5321, 2920, 3030, 3207, 4954; read to its end
std::unique_ptr<StartupParser> make_imap_startup();        // RFC 9051, 7888
std::unique_ptr<StartupParser> make_pop3_startup();        // RFC 1939, 2449, 2595, 5034
std::unique_ptr<StartupParser> make_ftp_startup();         // RFC 959, 4217, 7151
std::unique_ptr<StartupParser> make_ldap_startup();        // RFC 4511
std::unique_ptr<StartupParser> make_xmpp_startup();        // RFC 6120
std::unique_ptr<StartupParser> make_ssh_startup();         // RFC 4253, 4.2, 6 and 7.1
std::unique_ptr<StartupParser> make_git_startup();         // gitprotocol-pack(5), gitprotocol-common(5)
std::unique_ptr<StartupParser> make_amqp_startup();        // AMQP 0-9-1, 2.3 and 4.2; AMQP 1.0, 2.2 and 5.2
std::unique_ptr<StartupParser> make_mqtt_startup();        // MQTT 3.1.1 and 5.0, section 3.1
std::unique_ptr<StartupParser> make_nats_startup();        // "NATS Client Protocol"

}  // namespace stockade::net
