#!/usr/bin/env bash
# Copies the jars of Apache Kafka into the cache of this checkout, once per version. Needs mvn.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' "$here/kafka-pom.xml")
jars="$here/../../.cache/kafka-$version"

if [[ -d $jars ]]; then
    exit 0
fi
echo "Fetching Apache Kafka $version (43 MB) into .cache/kafka-$version"
# Under another name until it is complete, so that an interrupted download is not taken for the whole.
part="$jars.part"
rm -rf "$part"
mvn -B -q -f "$here/kafka-pom.xml" dependency:copy-dependencies -DoutputDirectory="$part" </dev/null
mv "$part" "$jars"
