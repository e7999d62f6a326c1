// From the folder that holds output:
//
//   npm --prefix example/deploy/cdk install
//   npm --prefix example/deploy/cdk run deploy
//
// A stack for each region in which img2lambda has published the layers, with the
// two functions of the example. For an arm64 image: ARCHITECTURE=arm64.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, Stack, aws_iam as iam, aws_lambda as lambda } from 'aws-cdk-lib';

const output = join(__dirname, '../../../output');

// layerLists returns what img2lambda has left: layers.json, or with several regions
// one in a folder for each.
function layerLists(): string[][] {
  return ['', ...readdirSync(output)]
    .map((name) => join(output, name, 'layers.json'))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')));
}

const app = new App();
for (const arns of layerLists()) {
  const [, , , region, account] = arns[0].split(':');
  const stack = new Stack(app, `lambda-php-${region}`, { env: { region, account } });
  const role = new iam.Role(stack, 'Role', {
    assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    managedPolicies: [iam.ManagedPolicy.fromAwsManagedPolicyName('service-role/AWSLambdaBasicExecutionRole')],
  });
  for (const name of ['hello', 'goodbye']) {
    new lambda.Function(stack, name, {
      functionName: `lambda-php-${name}`,
      runtime: lambda.Runtime.PROVIDED_AL2023,
      architecture: process.env.ARCHITECTURE === 'arm64' ? lambda.Architecture.ARM_64 : lambda.Architecture.X86_64,
      handler: `functions.${name}`,
      code: lambda.Code.fromAsset(join(output, 'function.zip')),
      layers: arns.map((arn, i) => lambda.LayerVersion.fromLayerVersionArn(stack, `${name}-layer-${i + 1}`, arn)),
      role,
    });
  }
}
