#!/bin/sh
# A job over an AWS Batch array: each child does its share, all into one output on a file system they share (EFS), then the
# merge. A child whose instance is taken away (or that stopped early: exit code 75) is tried again and goes on; one that ends with 3
# (its share is done, some records failed) finds nothing left to do when it is tried again.
#
#   aws batch register-job-definition --cli-input-json file://configs/aws-batch/job-definition.json
#   configs/aws-batch/submit.sh QUEUE SHARDS /data/out/corpus.h5
set -eu
queue=$1 shards=$2 output=$3

# AWS Batch tells a child its index, not how many there are.
embed=$(aws batch submit-job --job-name millrace-embed --job-queue "$queue" --job-definition millrace-embed \
    --array-properties "size=$shards" --query jobId --output text \
    --container-overrides "environment=[{name=AWS_BATCH_JOB_ARRAY_SIZE,value=$shards}]")
aws batch submit-job --job-name millrace-merge --job-queue "$queue" --job-definition millrace-embed \
    --depends-on "jobId=$embed" --container-overrides "command=[millrace,merge,$output]"
